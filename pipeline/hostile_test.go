package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ulrl/pipeline/gate/gatetest"
	"ulrl/pipeline/sandbox"
	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// asVictim has TestAsVictim load the file that it names, without the gate.
const asVictim = "ULRL_TEST_VICTIM_OF"

// TestAsVictim is the process that a hostile file is given to.
func TestAsVictim(t *testing.T) {
	path := os.Getenv(asVictim)
	if path == "" {
		return // it is no test of its own
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lib, err := torch.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv(asVictim+"_CONFINED") != "" {
		if _, err := Confine(sandbox.Rights{Memory: 4 << 30}); err != nil {
			t.Fatal(err)
		}
	}
	dev, err := lib.Device("cpu", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	_ = dev.Do(context.Background(), func(s *torch.Scope) error {
		m, err := s.LoadModule(data)
		if err == nil {
			m.Forward(s.Full(0.5, torch.Float32, 1, 1, 2, 2))
		}
		return err
	})
}

// changing are the system calls that change something outside of a process, but for
// opening, which may, and new threads, which do not.
var changing = []string{
	"creat", "truncate", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "mkdir", "mkdirat", "rmdir",
	"mknod", "mknodat", "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "utime", "utimes", "utimensat", "futimesat",
	"setxattr", "lsetxattr", "fsetxattr", "removexattr", "execve", "execveat", "fork", "vfork", "socket", "connect", "bind", "sendto", "sendmsg", "sendmmsg",
	"kill", "tkill", "pidfd_send_signal", "ptrace", "process_vm_writev", "io_uring_setup", "open_by_handle_at",
	"mount", "umount2", "chroot", "pivot_root", "setns", "unshare",
}

// changes tells whether a line of strace's, behind its time, is a call that changed
// something: one that succeeded.
func changes(line string) bool {
	name, rest, ok := strings.Cut(line, "(")
	at := strings.LastIndex(rest, " = ")
	if !ok || at < 0 || strings.HasPrefix(rest[at:], " = -1") {
		return false
	}
	switch name {
	case "open", "openat", "openat2":
		return slices.ContainsFunc([]string{"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"}, func(flag string) bool { return strings.Contains(rest, flag) })
	case "clone", "clone3":
		return !strings.Contains(rest, "CLONE_THREAD")
	}
	return slices.Contains(changing, name)
}

func TestChangesAreTold(t *testing.T) {
	for line, want := range map[string]bool{
		`openat(AT_FDCWD, "/x", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 5`:                       true,
		`openat(AT_FDCWD, "/x", O_RDWR) = 5`:                                               true,
		`openat(AT_FDCWD, "/x", O_WRONLY|O_CREAT, 0666) = -1 EACCES (Permission denied)`:   false,
		`openat(AT_FDCWD, "/x", O_RDONLY|O_CLOEXEC) = 5`:                                   false,
		`execve("/bin/true", ["true"], 0x7ffc /* 9 vars */) = 0`:                           true,
		`socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 6`:                                     true,
		`socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = -1 EPERM (Operation not permitted)`:    false,
		`clone(child_stack=NULL, flags=SIGCHLD) = 77`:                                      true,
		`clone(child_stack=0xc0, flags=CLONE_VM|CLONE_FS|CLONE_SIGHAND|CLONE_THREAD) = 77`: false,
		`newfstatat(AT_FDCWD, "/x", {st_mode=S_IFREG|0644, st_size=1, ...}, 0) = 0`:        false,
		`unlinkat(AT_FDCWD, "/x = -1", 0) = 0`:                                             true,
		`+++ exited with 0 +++`:                                                            false,
	} {
		if got := changes(line); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

// audit runs a command, which confines itself, under strace, which sees what it
// does rather than what it says, and returns what it printed.
func audit(t *testing.T, cmd *exec.Cmd) ([]byte, error) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		testenv.Skip(t, "strace is not installed: it is to see what a confined process does")
	}
	if out, err := exec.Command(strace, "-qq", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		testenv.Skip(t, "strace may not trace here: %v: %s", err, out)
	}
	traced := "trace=?seccomp,?open,?openat,?openat2,?clone,?clone3,?exit,?exit_group,?" + strings.Join(changing, ",?")
	dir := t.TempDir() // a file for each thread, so that no call is torn in two
	args := []string{strace, "-ff", "-ttt", "-qq", "-o", filepath.Join(dir, "calls"), "-e", traced, cmd.Path}
	cmd.Args, cmd.Path = append(args, cmd.Args[1:]...), strace
	out, failed := cmd.CombinedOutput()
	files, err := filepath.Glob(filepath.Join(dir, "calls.*"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	confined := 0.0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			lines = append(lines, line)
			if when, call, _ := strings.Cut(line, " "); strings.HasPrefix(call, "seccomp(SECCOMP_SET_MODE_FILTER") && strings.HasSuffix(call, "= 0\n") {
				at, err := strconv.ParseFloat(when, 64)
				if err != nil {
					t.Fatal(err)
				}
				confined = max(confined, at)
			}
		}
	}
	if confined == 0 {
		t.Fatalf("the process did not confine itself: %s", out)
	}
	seen := 0
	for _, line := range lines {
		when, call, _ := strings.Cut(line, " ")
		if at, err := strconv.ParseFloat(when, 64); err != nil || at <= confined {
			continue
		}
		seen++
		if changes(call) {
			t.Errorf("a confined process changed something: %s", line)
		}
	}
	if seen == 0 {
		t.Error("strace saw nothing of the confined process, which ends at least")
	}
	return out, failed
}

// What writes files from a hostile model when nothing stops it writes none when it
// is confined, though the gate is not there.
func TestHostileModelsStayInside(t *testing.T) {
	if has := sandbox.Supported(); !has.Enough() {
		testenv.Skip(t, "this kernel has %s", has)
	}
	canary := filepath.Join(t.TempDir(), "canary")
	tried := 0
	for _, h := range gatetest.Corpus(t, canary) {
		if !h.Writes {
			continue
		}
		path := filepath.Join(t.TempDir(), "model.pt")
		if err := os.WriteFile(path, h.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		written := func(confined string) bool {
			cmd := exec.Command(os.Args[0], "-test.run=^TestAsVictim$")
			cmd.Env = append(os.Environ(), asVictim+"="+path, asVictim+"_CONFINED="+confined)
			run := cmd.CombinedOutput
			if confined != "" {
				run = func() ([]byte, error) { return audit(t, cmd) }
			}
			out, err := run()
			_, stat := os.Stat(canary)
			if confined != "" && err != nil && !errors.As(err, new(*exec.ExitError)) {
				t.Errorf("%s: %v: %s", h.Name, err, out)
			}
			if stat == nil {
				if err := os.Remove(canary); err != nil {
					t.Fatal(err)
				}
			} else if !errors.Is(stat, fs.ErrNotExist) {
				t.Fatal(stat)
			}
			return stat == nil
		}
		if !written("") {
			t.Errorf("%s: it writes nothing with nothing to stop it: it proves nothing", h.Name)
		}
		if written("1") {
			t.Errorf("%s: it wrote out of the sandbox", h.Name)
		}
		tried++
	}
	if tried == 0 {
		t.Error("no file of the corpus writes")
	}
	t.Logf("%d files", tried)
}
