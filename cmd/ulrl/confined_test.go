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
	err := intoModels(a, func() error {
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
