package runstore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ulrl/pipeline/fault"
)

func TestAFolderAppearsWholeOrNotAtAll(t *testing.T) {
	above := t.TempDir()
	dir := filepath.Join(above, "a", "b")
	fill := func(partial string) error { return os.WriteFile(filepath.Join(partial, "x"), nil, 0o644) }
	broken := errors.New("broken")
	err := NewFolder(dir, func(partial string) error { return errors.Join(fill(partial), broken) })
	if left, _ := os.ReadDir(above); !errors.Is(err, broken) || len(left) != 0 { // nor the folder above, which was made for it
		t.Errorf("%v left %v", err, left)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := NewFolder(dir, fill); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
		t.Error(info, err)
	}
	if err := NewFolder(dir, fill); !fault.IsMisuse(err) {
		t.Errorf("over a folder that is full: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) != 1 {
		t.Errorf("left %v", left)
	}
}

func TestCheckOurs(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		ours  bool
	}{
		"empty": {nil, true}, "ours": {[]string{"other", "plan.json"}, true}, "another's": {[]string{"train"}, false},
		"of the system": {[]string{".nfs1", "lost+found"}, true},
	} {
		dir := t.TempDir()
		for _, file := range c.files {
			if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := CheckOurs(dir, "plan.json"); (err == nil) != c.ours || err != nil && !fault.IsMisuse(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckOurs(filepath.Join(t.TempDir(), "nowhere"), "plan.json"); err != nil {
		t.Errorf("not there yet: %v", err)
	}
}
