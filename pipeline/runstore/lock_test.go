package runstore

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ulrl/pipeline/fault"
)

// deadPID is the number of a process that has ended.
func deadPID(t *testing.T) int {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run=^$")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	return child.Process.Pid
}

func putLock(t *testing.T, dir string, change func(*owner)) {
	t.Helper()
	putOwner(t, dir, FileLock, change)
}

func putOwner(t *testing.T, dir, name string, change func(*owner)) {
	t.Helper()
	o, err := newOwner()
	if err != nil {
		t.Fatal(err)
	}
	change(&o)
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, name, string(data))
}

func TestLockHeldByThisProcess(t *testing.T) {
	dir := t.TempDir()
	r := create(t, dir)
	_, err := Create(dir, Options{Force: true})
	host, _ := os.Hostname()
	if !fault.IsMisuse(err) || !strings.Contains(err.Error(), "in use by process "+decimal(float64(os.Getpid()))) || !strings.Contains(err.Error(), host) {
		t.Fatalf("got %v", err)
	}
	oneLine(t, err)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	create(t, dir)
}

func TestLockOfOthers(t *testing.T) {
	dead := deadPID(t)
	for name, c := range map[string]struct {
		change func(*owner)
		want   string // "" where it is taken over
	}{
		"a dead process":             {func(o *owner) { o.PID = dead }, ""},
		"our number, born earlier":   {func(o *owner) { o.Born = "1" }, ""},
		"a living process":           {func(o *owner) { o.PID = os.Getppid(); o.Born = "" }, "in use by process"},
		"a dead one of another host": {func(o *owner) { o.PID = dead; o.Host = "node17" }, `on host "node17"`},
		"one of another container":   {func(o *owner) { o.PID = dead; o.Space = "pid:[1]" }, "in use by process"},
		"a hostile host name":        {func(o *owner) { o.Host = "a\nb" }, `on host "a\nb"`},
		"no process":                 {func(o *owner) { o.PID = -1 }, "does not say by whom"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			putLock(t, dir, c.change)
			r, err := Create(dir, Options{})
			oneLine(t, err)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				wantNames(t, dir, "result.json")
				return
			}
			if !fault.IsMisuse(err) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want misuse with %q", err, c.want)
			}
			wantNames(t, dir, FileLock)
		})
	}
}

func TestLockUnreadable(t *testing.T) {
	for _, content := range []string{"", "{", "[]", "{}"} {
		dir := t.TempDir()
		put(t, dir, FileLock, content)
		if _, err := Create(dir, Options{}); !fault.IsMisuse(err) || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("%q: %v", content, err)
		}
	}
	dir := t.TempDir()
	dead := deadPID(t)
	putLock(t, dir, func(o *owner) { o.PID = dead })
	put(t, dir, FileLock+takeover, "")
	if _, err := Create(dir, Options{}); !fault.IsMisuse(err) || !strings.Contains(err.Error(), "taken over") {
		t.Errorf("got %v", err)
	}
}

// A process can be killed at any moment of taking a directory.
func TestLockAfterAKill(t *testing.T) {
	dead := deadPID(t)
	killed := func(dir, name string) { putOwner(t, dir, name, func(o *owner) { o.PID = dead }) }
	for name, before := range map[string]func(dir string){
		"while it wrote its lock": func(dir string) { put(t, dir, tempPrefix(FileLock)+"1-00000000"+tempSuffix, "{") },
		"once it had the lock":    func(dir string) { killed(dir, FileLock) },
		"while it took one over":  func(dir string) { killed(dir, FileLock); killed(dir, FileLock+takeover) },
		"when it had taken it":    func(dir string) { killed(dir, FileLock+takeover); killed(dir, FileLock) },
		"between the two":         func(dir string) { killed(dir, FileLock+takeover) },
		"while it wrote that": func(dir string) {
			killed(dir, FileLock)
			put(t, dir, tempPrefix(FileLock+takeover)+"1-00000000"+tempSuffix, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			before(dir)
			r, err := Create(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			wantNames(t, dir, FileResult)
		})
	}
}

// Whoever sees a lock sees whose it is: one that is still being written would have to
// be removed by hand, if its process were killed just then.
func TestLockAppearsWhole(t *testing.T) {
	dir := t.TempDir()
	over := make(chan struct{})
	go func() {
		defer close(over)
		for range 300 {
			unlock, err := LockDir(dir)
			if err != nil {
				t.Error(err)
				return
			}
			unlock()
		}
	}()
	for {
		select {
		case <-over:
			return
		default:
		}
		if text, err := os.ReadFile(filepath.Join(dir, FileLock)); err == nil && !strings.HasSuffix(string(text), "}\n") {
			t.Fatalf("the lock held %q", text)
		}
	}
}

// TestLockRace lets many take one stale lock: one may win, at any time.
func TestLockRace(t *testing.T) {
	dead := deadPID(t)
	for range 20 {
		dir := t.TempDir()
		putLock(t, dir, func(o *owner) { o.PID = dead })
		var wins atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				_, err := Create(dir, Options{})
				if err == nil {
					wins.Add(1)
				} else if !fault.IsMisuse(err) {
					t.Error(err)
				}
			}()
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Fatalf("%d hold the directory", wins.Load())
		}
		wantNames(t, dir, "result.json", "run.lock")
	}
}

func TestCloseLeavesAnothersLock(t *testing.T) {
	dir := t.TempDir()
	r := create(t, dir)
	putLock(t, dir, func(o *owner) { o.Host = "node17" }) // somebody deleted ours
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, FileLock)); err != nil {
		t.Errorf("the other's lock is gone: %v", err)
	}
}
