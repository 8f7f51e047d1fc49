package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/testenv"
)

// A real full disk: a tmpfs that is too small for the cleaned model.
func TestDiskFull(t *testing.T) {
	f := newFixture(t)
	f.attack()
	for _, kib := range []int{8, 64} {
		small := f.path(fmt.Sprint("small", kib))
		if err := os.Mkdir(small, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", small, "tmpfs", 0, fmt.Sprintf("size=%dk", kib)); err != nil {
			testenv.Skip(t, "a file system of a fixed size cannot be mounted here: %v", err)
		}
		defer func() {
			if err := syscall.Unmount(small, 0); err != nil {
				t.Error(err)
			}
		}()
		dir := filepath.Join(small, "run")
		result, err := Run(context.Background(), f.config("output="+dir), f.env, RunOptions{})
		if !errors.Is(err, syscall.ENOSPC) || fault.IsMisuse(err) {
			t.Errorf("%d KiB: got %v (%+v)", kib, err, result)
		}
		for _, name := range []string{"cleaned.pt", "run.lock"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				t.Errorf("%d KiB: %s was left", kib, name)
			}
		}
		leftover, _ := filepath.Glob(filepath.Join(dir, "*.tmp*"))
		hidden, _ := filepath.Glob(filepath.Join(dir, ".*"))
		if len(leftover)+len(hidden) > 0 {
			t.Errorf("%d KiB: half-written files were left: %v %v", kib, leftover, hidden)
		}
	}
}
