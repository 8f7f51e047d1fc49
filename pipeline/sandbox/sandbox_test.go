package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ulrl/pipeline/testenv"
)

// deed is something that a confined process tries; its error is what the kernel says.
type deed struct {
	name string
	do   func(dir string) error
	want error // of several, errors.Is decides; nil: it may
}

// asConfined is set for the test binary to confine itself to the folder that it
// names and to report what became of the deed that asDeed names.
const (
	asConfined = "TEST_CONFINED_IN"
	asDeed     = "TEST_DEED"
)

func deeds() []deed {
	open := func(dir string, parts ...string) error {
		f, err := os.Open(filepath.Join(append([]string{dir}, parts...)...))
		if err == nil {
			err = f.Close()
		}
		return err
	}
	return []deed{
		{"write where it may", func(dir string) error {
			path := filepath.Join(dir, "out", "a")
			return errors.Join(os.WriteFile(path, []byte("x"), 0o644), os.Rename(path, path+"b"), os.Mkdir(path, 0o755), os.Remove(path), os.Remove(path+"b"))
		}, nil},
		{"give a file a free name", func(dir string) error { // locks need it
			path := filepath.Join(dir, "out", "a")
			taken := func(err error) error {
				if errors.Is(err, fs.ErrExist) {
					return nil
				}
				return fmt.Errorf("a name that is taken: %w", err)
			}
			return errors.Join(os.WriteFile(path, []byte("x"), 0o644), os.Link(path, path+"b"), taken(os.Link(path, path+"b")),
				unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, path+"c", unix.RENAME_NOREPLACE),
				taken(unix.Renameat2(unix.AT_FDCWD, path+"b", unix.AT_FDCWD, path+"c", unix.RENAME_NOREPLACE)))
		}, nil},
		{"read where it may", func(dir string) error { return open(dir, "in", "file") }, nil},
		{"start threads and compute", func(string) error {
			done := make(chan []byte)
			for range 20 {
				go func() { done <- bytes.Repeat([]byte("x"), 1<<20) }()
			}
			for range 20 {
				<-done
			}
			return nil
		}, nil},
		{"is there a process", func(string) error { return syscall.Kill(os.Getpid(), 0) }, nil},
		{"read elsewhere", func(dir string) error { return open(dir, "secret") }, fs.ErrPermission},
		{"list elsewhere", func(dir string) error { _, err := os.ReadDir(dir); return err }, fs.ErrPermission},
		{"read through a link", func(dir string) error { return open(dir, "in", "link") }, fs.ErrPermission},
		// As root too, whose process could look into any other.
		{"read the environment of another", func(string) error { return open("/proc", os.Getenv("TEST_PARENT"), "environ") }, fs.ErrPermission},
		{"read the memory of its parent", func(string) error {
			f, err := os.OpenFile("/proc/"+os.Getenv("TEST_PARENT")+"/mem", os.O_RDWR, 0)
			if err == nil {
				err = f.Close()
			}
			return err
		}, fs.ErrPermission},
		{"write where it may read", func(dir string) error { return os.WriteFile(filepath.Join(dir, "in", "new"), nil, 0o644) }, fs.ErrPermission},
		{"write elsewhere", func(dir string) error { return os.WriteFile(filepath.Join(dir, "secret"), nil, 0o644) }, fs.ErrPermission},
		{"cut a file elsewhere", func(dir string) error { return os.Truncate(filepath.Join(dir, "secret"), 0) }, fs.ErrPermission},
		{"move a file out", func(dir string) error {
			path := filepath.Join(dir, "out", "x")
			return errors.Join(os.WriteFile(path, nil, 0o644), os.Rename(path, filepath.Join(dir, "x")))
		}, fs.ErrPermission},
		{"give a file elsewhere a name here", func(dir string) error {
			return os.Link(filepath.Join(dir, "secret"), filepath.Join(dir, "out", "s"))
		}, syscall.EXDEV},
		{"give a file that it may read a name here", func(dir string) error {
			return os.Link(filepath.Join(dir, "in", "file"), filepath.Join(dir, "out", "s"))
		}, syscall.EXDEV},
		{"make a link", func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "out", "l")) }, fs.ErrPermission},
		{"make a pipe", func(dir string) error { return unix.Mkfifo(filepath.Join(dir, "out", "p"), 0o600) }, fs.ErrPermission},
		{"set the mode of a program", func(dir string) error { return os.Chmod(filepath.Join(dir, "secret"), 0o4755) }, fs.ErrPermission}, // Landlock says nothing of it
		{"make a program that runs as its owner", func(dir string) error {
			_, err := unix.Open(filepath.Join(dir, "out", "program"), unix.O_CREAT|unix.O_WRONLY, 0o4755)
			return err
		}, syscall.EPERM},
		{"connect", func(string) error { _, err := net.Dial("tcp", "127.0.0.1:9"); return err }, fs.ErrPermission},
		{"listen on a socket", func(dir string) error { _, err := net.Listen("unix", filepath.Join(dir, "out", "s")); return err }, fs.ErrPermission},
		{"stop its parent", func(string) error { return syscall.Kill(os.Getppid(), syscall.SIGTERM) }, fs.ErrPermission},
		{"have its parent stopped when there is something to read", func(string) error {
			var pipe [2]int
			if err := unix.Pipe(pipe[:]); err != nil {
				return err
			}
			_, err := unix.FcntlInt(uintptr(pipe[0]), unix.F_SETOWN, os.Getppid())
			return err
		}, syscall.EPERM},
		// Landlock cannot tell of these before its third version.
		{"cut a file by opening it for reading", func(dir string) error {
			_, err := unix.Open(filepath.Join(dir, "in", "file"), unix.O_RDONLY|unix.O_TRUNC, 0)
			return err
		}, syscall.EPERM},
		{"cut a file by opening it for nothing", func(dir string) error {
			_, err := unix.Open(filepath.Join(dir, "secret"), unix.O_ACCMODE|unix.O_TRUNC, 0)
			return err
		}, syscall.EPERM},
		{"raise its limits", func(string) error {
			return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 40, Max: 1 << 40})
		}, fs.ErrPermission},
		{"raise its limits, from an address whose upper half is the number of a deadly call", func(string) error {
			return setLimitFrom(unix.SYS_EXECVE)
		}, fs.ErrPermission},
		{"raise its limits, from an address whose upper half is the number of another call", func(string) error {
			return setLimitFrom(unix.SYS_CLONE3)
		}, fs.ErrPermission},
		{"start a process", func(string) error { return fork(0) }, fs.ErrPermission},
		{"start a process, with the number of an allowed call for its signal", func(string) error { return fork(unix.SYS_KILL) }, fs.ErrPermission},
		{"write a file that is too long", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "out", "long"), make([]byte, 2<<20), 0o644)
		}, syscall.EFBIG},
		{"take too much memory", func(string) error {
			_, err := unix.Mmap(-1, 0, 16<<30, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
			return err
		}, syscall.ENOMEM},
		// No limit counts these.
		{"take memory for itself as if to share it", func(string) error {
			_, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON)
			return err
		}, syscall.EPERM},
		{"take memory as a stack's", func(string) error {
			_, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_GROWSDOWN)
			return err
		}, syscall.EPERM},
	}
}

// lethal end the process.
func lethal() []deed {
	return []deed{
		{"start a program", func(string) error { return syscall.Exec("/bin/true", []string{"true"}, nil) }, nil},
		{"look into another process", func(string) error { return unix.PtraceAttach(os.Getppid()) }, nil},
		{"load a filter into the kernel", func(string) error { return call(unix.SYS_BPF) }, nil},
		{"mount", func(dir string) error { return unix.Mount("none", dir, "tmpfs", 0, "") }, nil},
		{"a ring that makes system calls", func(string) error { return call(unix.SYS_IO_URING_SETUP) }, nil},
		{"become somebody else", func(string) error { return call(unix.SYS_SETUID) }, nil},
	}
}

func call(number uintptr) error {
	if _, _, errno := syscall.RawSyscall(number, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// setLimitFrom raises a limit with an argument that lies in memory at upper << 32.
// Go puts its memory at chance, so that by chance any pointer is such a one.
func setLimitFrom(upper uintptr) error {
	at, _, errno := syscall.RawSyscall6(unix.SYS_MMAP, upper<<32, 1<<12, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED_NOREPLACE, ^uintptr(0), 0)
	if errno != 0 {
		return fmt.Errorf("map memory: %w", errno)
	}
	if _, _, errno := syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_FSIZE, at, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// fork starts a copy of this process, which sends it the signal when it ends.
func fork(signal uintptr) error {
	child, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, signal, 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if child == 0 {
		for {
			_, _, _ = syscall.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
		}
	}
	return nil
}

func TestMain(m *testing.M) {
	dir := os.Getenv(asConfined)
	if dir == "" {
		os.Exit(m.Run())
	}
	signal.Ignore(syscall.SIGXFSZ)
	libraries, err := Libraries()
	if err == nil {
		err = Confine(Rights{Read: append(libraries, filepath.Join(dir, "in")), Write: []string{filepath.Join(dir, "out")}, Memory: 8 << 30, File: 1 << 20})
	}
	if err != nil {
		os.Stdout.WriteString("confine: " + err.Error())
		os.Exit(3)
	}
	for _, d := range append(deeds(), lethal()...) {
		if d.name == os.Getenv(asDeed) {
			err := d.do(dir)
			verdict := map[string]any{"err": "", "is": err == nil && d.want == nil || d.want != nil && errors.Is(err, d.want)}
			if err != nil {
				verdict["err"] = err.Error()
			}
			_ = json.NewEncoder(os.Stdout).Encode(verdict)
			os.Exit(0)
		}
	}
	os.Exit(4)
}

// confined runs a deed in a process that is confined to the folders in and out of
// the folder that it gives.
func confined(t *testing.T, name string) (dir string, output []byte, err error) {
	t.Helper()
	dir = t.TempDir()
	for _, sub := range []string{"in", "out"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"secret", "in/file"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte("kept"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret", filepath.Join(dir, "in", "link")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asConfined+"="+dir, asDeed+"="+name, "TEST_PARENT="+strconv.Itoa(os.Getpid()))
	output, err = cmd.CombinedOutput()
	return dir, output, err
}

func TestWhatAConfinedProcessMayDo(t *testing.T) {
	if has := Supported(); !has.Enough() {
		testenv.Skip(t, "this kernel has %s", has)
	}
	for _, d := range deeds() {
		t.Run(d.name, func(t *testing.T) {
			dir, output, err := confined(t, d.name)
			var verdict struct {
				Err string
				Is  bool
			}
			if err != nil || json.Unmarshal(output, &verdict) != nil || !verdict.Is {
				t.Errorf("%v: %s", err, output)
			}
			if kept, err := os.ReadFile(filepath.Join(dir, "secret")); string(kept) != "kept" {
				t.Errorf("the file outside holds %q, %v", kept, err)
			}
		})
	}
	for _, d := range lethal() {
		t.Run(d.name, func(t *testing.T) {
			_, output, err := confined(t, d.name)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGSYS {
				t.Errorf("ended by %v: %s", err, output)
			}
		})
	}
}

func TestSupportInWords(t *testing.T) {
	for s, want := range map[Support]string{
		{7, true}:  "Landlock 7, seccomp",
		{0, true}:  "seccomp, but no Landlock",
		{3, false}: "Landlock 3, but no seccomp",
		{0, false}: "neither",
	} {
		if got := s.String(); !strings.HasPrefix(got, want) || s.Enough() != (want == "Landlock 7, seccomp") {
			t.Errorf("%+v: %q", s, got)
		}
	}
}

func TestLinksAreFoundTwoFoldersDeep(t *testing.T) {
	dir := t.TempDir()
	at := filepath.Join(dir, "a[1]*")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(at, "train"), 0o755), os.WriteFile(filepath.Join(dir, "far"), nil, 0o644),
		os.Symlink("../../far", filepath.Join(at, "train", "x")), os.Symlink("../nowhere", filepath.Join(at, "y")),
	); err != nil {
		t.Fatal(err)
	}
	want, err := filepath.EvalSymlinks(filepath.Join(dir, "far"))
	if err != nil {
		t.Fatal(err)
	}
	if got := Links(at); !slices.Equal(got, []string{want}) {
		t.Errorf("got %v", got)
	}
}

// A folder that somebody gave may lead to the root to have the whole disk read.
func TestLinksThatLeadTooFarAreLeftOut(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	top := t.TempDir()
	at, kept := filepath.Join(top, "a"), filepath.Join(top, "kept")
	for _, dir := range []string{at, kept} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"root": "/", "above": top, "itself": at, "upwards": "../..", "home": os.Getenv("HOME"), "good": kept, "again": kept} {
		if err := os.Symlink(to, filepath.Join(at, name)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := filepath.EvalSymlinks(kept)
	if err != nil {
		t.Fatal(err)
	}
	if got := Links(at); !slices.Equal(got, []string{want}) {
		t.Errorf("got %q", got)
	}
}
