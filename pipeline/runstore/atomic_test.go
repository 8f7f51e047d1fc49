package runstore

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ulrl/pipeline/fault"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := names(t, dir); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s: %q, %v; want %q", path, got, err, want)
	}
}

func TestWriteFileAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for _, content := range []string{"one", "", "a longer one"} {
		if err := WriteFileAtomic(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		wantContent(t, path, content)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&^0o640 != 0 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	long := filepath.Join(dir, strings.Repeat("x", 250))
	if err := WriteFileAtomic(long, []byte("x"), 0o644); err != nil {
		t.Error(err)
	}
	wantNames(t, dir, "a", filepath.Base(long))
}

func TestWriteFileAtomicFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(real, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	if err := WriteFileAtomic(link, []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	wantContent(t, real, "new")
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
}

func TestWriteFileAtomicRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"no name":           {"", "no file name"},
		"a directory":       {dir, "is a directory"},
		"below a file":      {filepath.Join(file, "x"), "not a directory"},
		"no such directory": {filepath.Join(dir, "none", "x"), "no such file or directory"},
		"not a plain file":  {pipe, "not a regular file"},
	} {
		err := WriteFileAtomic(c.path, []byte("x"), 0o644)
		if err == nil || !strings.HasPrefix(err.Error(), "write "+c.path+": ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		check := CheckWritable(c.path)
		if !fault.IsMisuse(check) || !strings.Contains(check.Error(), c.want) {
			t.Errorf("%s: CheckWritable: %v, want misuse with %q", name, check, c.want)
		}
	}
	wantNames(t, dir, "file", "pipe")
	if err := CheckWritable(filepath.Join(dir, "new")); err != nil {
		t.Error(err)
	}
	wantNames(t, dir, "file", "pipe")
}

func TestWriteFileAtomicReadOnlyDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write anywhere: below a regular file stands for it")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	if err := WriteFileAtomic(filepath.Join(dir, "x"), nil, 0o644); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
	if _, err := Create(dir, Options{}); !fault.IsMisuse(err) {
		t.Errorf("Create: %v", err)
	}
}

// smallDisk is a directory with one MiB of space.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("cannot mount a small file system here (it takes root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

func TestDiskFull(t *testing.T) {
	dir := filepath.Join(smallDisk(t), "run")
	r, err := Create(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if err := r.WriteFile("neurons.csv", []byte("old")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cleaned.pt", "neurons.csv"} {
		err := r.WriteFile(name, make([]byte, 2<<20))
		if want := "write " + filepath.Join(dir, name) + ": no space left on device"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%v does not wrap ENOSPC", err)
		}
	}
	wantNames(t, dir, "neurons.csv", "result.json", "run.lock")
	wantContent(t, r.Path("neurons.csv"), "old")
}

// TestDiskFullEvents fills the disk with events: the one that does not fit must
// not leave a torn line before the next.
func TestDiskFullEvents(t *testing.T) {
	r, err := Create(filepath.Join(smallDisk(t), "run"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	big := map[string]string{"kind": "test", "pad": strings.Repeat("x", 100_000)}
	written := 0
	for ; written < 100; written++ {
		if err = r.Event(big); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "events.jsonl: no space left on device") {
		t.Fatalf("after %d events: %v", written, err)
	}
	if err := r.Event(map[string]string{"kind": "small"}); err != nil {
		t.Fatal(err)
	}
	events, err := ReadEvents(r.dir)
	if err != nil || len(events) != written+1 {
		t.Errorf("%d events, %v; want %d", len(events), err, written+1)
	}
}

func TestCreateDiskFull(t *testing.T) {
	dir := smallDisk(t)
	_ = os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 2<<20), 0o644) // takes what there is
	run := filepath.Join(dir, "run")
	_, err := Create(run, Options{})
	if !errors.Is(err, syscall.ENOSPC) || fault.IsMisuse(err) {
		t.Fatalf("got %v", err)
	}
	if entries, err := os.ReadDir(run); err == nil && len(entries) > 0 {
		t.Errorf("left %v", entries)
	}
}

const killDir = "ULRL_TEST_KILL_DIR"

// TestMain lets the test binary play the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		writeForever(dir)
	}
	os.Exit(m.Run())
}

func writeForever(dir string) {
	r, err := Create(dir, Options{})
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	for fill := byte(0); ; fill++ {
		if err := r.WriteFile(FileCleaned, bytes.Repeat([]byte{fill}, 4<<20)); err != nil {
			os.Exit(1)
		}
		if err := r.Event(EpochEvent{Kind: KindEpoch, Phase: "train", Epoch: int(fill)}); err != nil {
			os.Exit(1)
		}
	}
}

// TestKilled kills writers at different moments; each next one must find the
// directory takeable, and nothing half-written in it.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "run")
	seen := 0
	for round := 0; round < 12 || seen == 0 && round < 60; round++ {
		var stderr bytes.Buffer
		child := exec.Command(self)
		child.Env = append(os.Environ(), killDir+"="+dir)
		child.Stderr = &stderr
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(40+17*round) * time.Millisecond)
		if err := child.Process.Kill(); err != nil {
			t.Fatalf("the writer ended by itself: %v %s", err, stderr.String())
		}
		_ = child.Wait()
		if stderr.Len() > 0 {
			t.Fatalf("round %d: %s", round, stderr.String())
		}
		data, err := os.ReadFile(filepath.Join(dir, FileCleaned))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		seen++
		if len(data) != 4<<20 || bytes.Count(data, data[:1]) != len(data) {
			t.Fatalf("round %d: half a file of %d bytes", round, len(data))
		}
		if _, err := ReadEvents(dir); err != nil {
			t.Fatal(err)
		}
	}
	if seen == 0 {
		t.Error("no writer came as far as a file: the test shows nothing")
	}
	r, err := Create(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	wantNames(t, dir, "result.json", "run.lock")
}
