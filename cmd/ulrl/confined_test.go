package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ulrl/pipeline/config"
)

// The folder of clean models is other trainings' too, which may be confined to it by
// then: made anew by somebody it is no longer theirs to write to.
func TestFailedAttackLeavesTheSharedFolder(t *testing.T) {
	dir := t.TempDir()
	var a config.Attack
	a.Output = filepath.Join(dir, "own")
	a.CleanModel.Dir = filepath.Join(dir, "shared")
	failed := errors.New("failed")
	err := intoModels(a, true, func(...string) error {
		for _, made := range []string{a.Output, a.CleanModel.Dir} {
			if _, err := os.Stat(made); err != nil {
				t.Error(err)
			}
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(a.Output); !os.IsNotExist(err) {
		t.Errorf("its own folder, in which there is nothing: %v", err)
	}
	if _, err := os.Stat(a.CleanModel.Dir); err != nil {
		t.Error(err)
	}
}

// What was made for a job that failed goes, with all above it that was made for it; and an
// attack that starts from nothing needs no folder of clean models.
func TestFailedJobsLeaveNoFolders(t *testing.T) {
	dir := t.TempDir()
	failed := errors.New("failed")
	var a config.Attack
	a.Name, a.Output = "badnets", filepath.Join(dir, "deep", "er")
	a.CleanModel.Dir = filepath.Join(dir, "clean")
	err := intoModels(a, false, func(write ...string) error {
		if len(write) != 1 || write[0] != a.Output {
			t.Errorf("writes to %q", write)
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
