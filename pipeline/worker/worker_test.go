package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"golang.org/x/sys/unix"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/progress"
	"ulrl/pipeline/sandbox"
)

// serveArg makes the test binary a worker whose jobs are the cases of misbehave.
const serveArg = "serve-as-worker"

func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != serveArg {
		os.Exit(m.Run())
	}
	out := os.NewFile(Output, "messages")
	err := Serve(os.Stdin, out, func(ctx context.Context, r Request, log *logrus.Logger, sink progress.Sink) (any, error) {
		return behave(ctx, r, log, sink, out)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type answer struct{ Text string }

// lastWords are what a process prints that ends by itself, in Go's runtime or in a library.
var lastWords = map[string]string{
	"memory":   "fatal error: runtime: out of memory",
	"limit":    "fatal error: runtime: cannot allocate memory",
	"threads":  "runtime/cgo: pthread_create failed: Resource temporarily unavailable\nSIGABRT: abort",
	"team":     "\nlibgomp: Thread creation failed: Resource temporarily unavailable",
	"segfault": "SIGSEGV: segmentation violation\nPC=0x0 m=0 sigcode=1 addr=0x0\nsignal arrived during cgo execution",
}

func behave(ctx context.Context, r Request, log *logrus.Logger, sink progress.Sink, out *os.File) (any, error) {
	if words, ok := lastWords[r.Job]; ok {
		fmt.Fprintln(os.Stderr, words)
		os.Exit(2)
	}
	switch r.Job {
	case "echo":
		sink.Start("work", 2)
		sink.Step("a")
		log.WithField("key", 7).Warn("careful")
		sink.Step("b\x1b[31m")
		sink.End()
		return answer{string(r.Args)}, nil
	case "misuse":
		return answer{"half"}, fault.Misuse("wrong input")
	case "stop":
		sink.Start("wait", 0)
		<-ctx.Done()
		return nil, fmt.Errorf("step: %w", ctx.Err())
	case "keeps":
		sink.Start("wait", 0)
		<-ctx.Done()
		return answer{"what was done; " + context.Cause(ctx).Error()}, ctx.Err()
	case "deaf":
		sink.Start("wait", 0)
		time.Sleep(time.Hour)
	case "environment":
		return answer{strings.Join(os.Environ(), "\n")}, nil
	case "print":
		fmt.Fprint(os.Stdout, strings.Repeat("\x1b]0;owned\x07", 1<<20))
		return answer{"ok"}, nil
	case "nonsense":
		fmt.Fprintln(out, "hello")
	case "endless":
		for range 1 << 11 {
			fmt.Fprint(out, strings.Repeat("x", 1<<16))
		}
	case "empty":
		fmt.Fprintln(out, `{"kind":"done"}`)
		time.Sleep(time.Hour) // until nobody listens any more
	case "deep":
		for range 1 << 20 {
			sink.Start("deeper", 0)
		}
	case "ends":
		sink.End()
		sink.Step("of nothing")
		return answer{"ok"}, nil
	case "chatty":
		long := strings.Repeat("x", maxText)
		for range maxLogged / maxText { // three times what may be logged
			log.WithField("a", long).WithField("b", long).Info(long)
		}
		return answer{"ok"}, nil
	case "fields":
		m := message{Kind: kindLog, Level: "info", Fields: map[string]string{}}
		for i := range 1000 {
			m.Fields[fmt.Sprint(i)] = "x"
		}
		_ = json.NewEncoder(out).Encode(m)
		return answer{"ok"}, nil
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "forbidden":
		if err := sandbox.Confine(sandbox.Rights{}); err != nil {
			return nil, err
		}
		_ = syscall.Exec("/bin/true", []string{"true"}, nil)
	case "silent":
		os.Exit(0)
	case "panic":
		go func() { var p *int; *p = 1 }()
		time.Sleep(time.Hour)
	}
	return nil, nil
}

// recorder is a sink that keeps what it is told.
type recorder struct {
	progress.None
	told []string
}

func (r *recorder) Start(phase string, total int) {
	r.told = append(r.told, fmt.Sprint("start ", phase, " ", total))
}
func (r *recorder) Step(note string) { r.told = append(r.told, "step "+note) }
func (r *recorder) End()             { r.told = append(r.told, "end") }

func do(ctx context.Context, t *testing.T, w Worker, job string) (answer, error) {
	t.Helper()
	w.Args = []string{serveArg}
	if w.Log == nil {
		w.Log, _ = test.NewNullLogger()
	}
	if w.Sink == nil {
		w.Sink = progress.None{}
	}
	var a answer
	err := w.Do(ctx, Request{Job: job, Args: json.RawMessage(`"hello"`)}, &a)
	return a, err
}

func TestAWorkerTellsAndAnswers(t *testing.T) {
	log, hook := test.NewNullLogger()
	sink := &recorder{}
	a, err := do(context.Background(), t, Worker{Log: log, Sink: sink}, "echo")
	if err != nil || a.Text != `"hello"` {
		t.Errorf("%+v, %v", a, err)
	}
	if want := []string{"start work 2", "step a", "step b\ufffd[31m", "end"}; !slices.Equal(sink.told, want) {
		t.Errorf("told %q", sink.told)
	}
	if e := hook.LastEntry(); e == nil || e.Message != "careful" || e.Level != logrus.WarnLevel || e.Data["key"] != "7" {
		t.Errorf("logged %+v", e)
	}
}

func TestAnErrorKeepsItsKindAndItsResult(t *testing.T) {
	a, err := do(context.Background(), t, Worker{}, "misuse")
	if a.Text != "half" || !fault.IsMisuse(err) || err.Error() != "wrong input" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestAnInterruptReachesTheWorker(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(200*time.Millisecond, cancel)
	if _, err := do(ctx, t, Worker{}, "stop"); !errors.Is(err, context.Canceled) || err.Error() != "step: context canceled" {
		t.Errorf("got %v", err)
	}
}

func TestAWorkerSeesNoKeys(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("OMP_NUM_THREADS", "1")
	a, err := do(context.Background(), t, Worker{}, "environment")
	if err != nil || strings.Contains(a.Text, "secret") || !strings.Contains(a.Text, "OMP_NUM_THREADS=1") {
		t.Errorf("%v: %s", err, a.Text)
	}
}

func TestWhatAWorkerPrintsStaysOffTheTerminal(t *testing.T) {
	log, hook := test.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	a, err := do(context.Background(), t, Worker{Log: log}, "print")
	if err != nil || a.Text != "ok" {
		t.Fatal(a, err)
	}
	if text := hook.LastEntry().Message; !strings.HasPrefix(text, "the worker printed: \ufffd]0;owned") || strings.ContainsAny(text, "\x1b\x07") || len(text) > 8*maxDetail {
		t.Errorf("logged %d bytes: %.60q", len(text), text)
	}
}

func TestWhatAWorkerLogsIsBounded(t *testing.T) {
	for _, job := range []string{"chatty", "fields"} {
		t.Run(job, func(t *testing.T) {
			log, hook := test.NewNullLogger()
			if a, err := do(context.Background(), t, Worker{Log: log}, job); err != nil || a.Text != "ok" {
				t.Fatal(a, err)
			}
			length := 0
			for _, e := range hook.AllEntries() {
				length += len(e.Message)
				for _, value := range e.Data {
					length += len(value.(string))
				}
				if len(e.Data) > maxFields {
					t.Errorf("%d fields in a line", len(e.Data))
				}
			}
			if length > maxLogged || len(hook.AllEntries()) == 0 {
				t.Errorf("%d bytes in %d lines", length, len(hook.AllEntries()))
			}
		})
	}
}

func TestWhatWasNeverBegunDoesNotEnd(t *testing.T) {
	sink := &recorder{}
	if a, err := do(context.Background(), t, Worker{Sink: sink}, "ends"); err != nil || a.Text != "ok" || len(sink.told) > 0 {
		t.Errorf("%v, %v: told %q", a, err, sink.told)
	}
}

// What is wrong with its messages and that it takes too long may be seen at once.
func TestAWorkerMayBeEndedForTwoReasons(t *testing.T) {
	p, err := Worker{Args: []string{serveArg}}.start()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	first := errors.New("the first")
	p.end(first)
	p.end(fmt.Errorf("%w: the second", errStalled))
	_ = p.wait()
	if got := p.reason(); !errors.Is(got, first) {
		t.Errorf("ended for %v", got)
	}
}

func TestHowAWorkerEnds(t *testing.T) {
	short := Worker{Stall: 300 * time.Millisecond}
	for _, c := range []struct {
		job    string
		worker Worker
		want   string
		misuse bool
	}{
		{"deaf", short, "showed no progress for 300ms", false},
		{"deaf", Worker{Time: 300 * time.Millisecond, Grace: 100 * time.Millisecond}, "took too long: more than the 300ms", false},
		{"nonsense", Worker{}, "no language of a worker's", false},
		{"endless", Worker{}, "a message without end", false},
		{"empty", Worker{Stall: 300 * time.Millisecond}, "no result", false},
		{"deep", Worker{}, "phases", false},
		{"kill", Worker{}, "was killed, by somebody or for lack of memory", false},
		{"forbidden", Worker{}, "do not use this file", true},
		{"silent", Worker{}, "ended without a word", false},
		{"memory", Worker{}, "ran out of memory", false},
		{"limit", Worker{}, "ran out of memory", false},
		{"threads", Worker{}, "no more threads", false},
		{"team", Worker{}, "no more threads", false},
		{"segfault", Worker{}, "threads=1 or libtorch 2.x may help", false},
		{"panic", Worker{}, "crashed (panic: runtime error: invalid memory address", false},
	} {
		t.Run(c.job, func(t *testing.T) {
			a, err := do(context.Background(), t, c.worker, c.job)
			if a.Text != "" || err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || fault.IsMisuse(err) != c.misuse {
				t.Errorf("%v, %v", a, err)
			}
		})
	}
}

// libtorch asks for memory in places where it does not look whether it got any.
func TestALimitOfMemoryIsNamed(t *testing.T) {
	short := Worker{Stall: 300 * time.Millisecond}
	const low, plenty = 1<<30 - 1, 1 << 40
	for _, c := range []struct {
		job    string
		worker Worker
		flag   string
		which  int
		limit  uint64
	}{
		{"segfault", Worker{}, "-d", unix.RLIMIT_DATA, plenty},
		{"segfault", Worker{}, "-d", unix.RLIMIT_DATA, low},
		{"segfault", Worker{}, "-v", unix.RLIMIT_AS, plenty},
		{"deaf", short, "-d", unix.RLIMIT_DATA, plenty},
	} {
		t.Run(fmt.Sprint(c.job, c.flag, c.limit), func(t *testing.T) {
			var before unix.Rlimit
			if err := unix.Getrlimit(c.which, &before); err != nil {
				t.Fatal(err)
			}
			limit := min(c.limit, before.Max)
			if err := unix.Setrlimit(c.which, &unix.Rlimit{Cur: limit, Max: before.Max}); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := unix.Setrlimit(c.which, &before); err != nil {
					t.Fatal(err)
				}
			}()
			log, hook := test.NewNullLogger()
			c.worker.Log = log
			_, err := do(context.Background(), t, c.worker, c.job)
			want := fmt.Sprintf("memory is limited to %d KiB (ulimit %s)", limit>>10, c.flag)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, wanted %q", err, want)
			}
			if e := hook.LastEntry(); (e != nil) != (limit <= low) || e != nil && !strings.HasPrefix(e.Message, want+": with so little") {
				t.Errorf("warned of %d: %+v", limit, e)
			}
		})
	}
}

func TestAWorkerThatDoesNotStopIsEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := do(ctx, t, Worker{Grace: 200 * time.Millisecond}, "deaf"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// One whose time is over is asked to stop first, so that it leaves things in order.
func TestATimeLimitLeavesWhatWasDone(t *testing.T) {
	const why = "it took too long: more than the 300ms that --time-limit gives it"
	a, err := do(context.Background(), t, Worker{Time: 300 * time.Millisecond}, "keeps")
	if a.Text != "what was done; "+why || err == nil || !strings.Contains(err.Error(), why) || errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", a, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if a, err := do(ctx, t, Worker{}, "keeps"); a.Text != "what was done; context canceled" || !errors.Is(err, context.Canceled) {
		t.Errorf("without one: %v, %v", a, err)
	}
}

func TestPlainText(t *testing.T) {
	for text, want := range map[string]string{
		"a\tb\nc": "a\tb\nc", "\x1b[2J": "\ufffd[2J", "\u202e": "\ufffd", "\xff": "\ufffd", "abcdéf": "abcd…",
	} {
		most := 5
		if !strings.HasPrefix(text, "abc") {
			most = 100
		}
		if got := plain(text, most); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
