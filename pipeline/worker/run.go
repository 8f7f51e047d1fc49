package worker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/progress"
)

// Worker starts a process for each request.
type Worker struct {
	Args  []string // of this program, which make it serve
	Log   logrus.FieldLogger
	Sink  progress.Sink
	Stall time.Duration // without a sign of progress, after which it is ended; 0: never
	Time  time.Duration // that it may take in all; 0: any
	Grace time.Duration // for it to stop when the context ends; 0: DefaultGrace
}

// DefaultGrace is long enough for a batch of any model that people train.
const DefaultGrace = time.Minute

// errStalled and errTime are why a worker was ended.
var (
	errStalled = errors.New("it showed no progress")
	errTime    = errors.New("it took too long")
)

// Do has a worker do what r asks and decodes what came of it into result, also
// where it failed but had something to show: the bool says whether it did.
func (w Worker) Do(ctx context.Context, r Request, result any) (bool, error) {
	request, err := json.Marshal(r)
	if err != nil {
		return false, fmt.Errorf("encode the request: %w", err)
	}
	// The worker is killed with the thread that started it, should this process be.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, err := w.start()
	if err != nil {
		return false, fmt.Errorf("start a worker: %w", err)
	}
	defer p.close()
	if _, err := p.in.Write(append(request, '\n')); err != nil {
		return false, fmt.Errorf("send the request to the worker: %w", err)
	}
	watched := make(chan struct{})
	go func() { w.watch(ctx, p); close(watched) }()
	last := w.listen(p)
	err = p.wait()
	<-watched
	return w.judge(ctx, p, last, err, result)
}

// process is a worker that was started.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *os.File
	printed *printout
	ended   chan struct{}
	began   time.Time    // by the clock that nobody sets
	alive   atomic.Int64 // when it last showed progress, in nanoseconds since it began
	why     atomic.Value // the error for which it was ended
}

func (w Worker) start() (*process, error) {
	out, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	p := &process{out: out, printed: &printout{}, ended: make(chan struct{})}
	// Whatever becomes of the file that this program was started from.
	p.cmd = exec.Command("/proc/self/exe", w.Args...)
	p.cmd.Args[0] = "ulrl"
	p.cmd.Env = environment(os.Environ())
	p.cmd.Stdout, p.cmd.Stderr = p.printed, p.printed
	p.cmd.ExtraFiles = []*os.File{theirs}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	// What whoever started this process left open is not for the worker.
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, errors.Join(fmt.Errorf("keep open files from the worker: %w", err), out.Close())
	}
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return p, nil
}

func (p *process) close() {
	_ = p.in.Close()
	_ = p.out.Close()
}

func (p *process) wait() error {
	err := p.cmd.Wait()
	close(p.ended)
	return err
}

// end kills the worker, for why.
func (p *process) end(why error) {
	p.why.CompareAndSwap(nil, why)
	_ = p.cmd.Process.Kill() // fails only where it is gone
}

// environment is what libtorch and Go's runtime ask for. The rest stays here: a
// model has no business with somebody's keys.
func environment(all []string) []string {
	prefixes := []string{
		"LD_LIBRARY_PATH=", "PATH=", "LANG=", "LC_", "TZ=", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "DNNL_", "ONEDNN_",
		"ATEN_", "TORCH_", "PYTORCH_", "CUDA_", "CUBLAS_", "CUDNN_", "NVIDIA_", "MALLOC_", "GODEBUG=", "GOMAXPROCS=", "GOGC=", "GOMEMLIMIT=", "GOTRACEBACK=", "ULRL_WORKER_",
	}
	var out []string
	for _, entry := range all {
		for _, prefix := range prefixes {
			if strings.HasPrefix(entry, prefix) {
				out = append(out, entry)
				break
			}
		}
	}
	return out
}

// watch stops the worker with the context, and ends it where it stalls, takes
// too long, or does not stop.
func (w Worker) watch(ctx context.Context, p *process) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	done := ctx.Done()
	var grace <-chan time.Time
	for {
		select {
		case <-p.ended:
			return
		case <-done:
			_ = p.in.Close() // asks it to stop
			wait := w.Grace
			if wait == 0 {
				wait = DefaultGrace
			}
			done, grace = nil, time.After(wait)
		case <-grace:
			p.end(ctx.Err())
		case <-tick.C:
			switch {
			case w.Time > 0 && time.Since(p.began) > w.Time:
				p.end(fmt.Errorf("%w: more than the %s that it may", errTime, w.Time))
			case w.Stall > 0 && time.Since(p.began)-time.Duration(p.alive.Load()) > w.Stall:
				p.end(fmt.Errorf("%w for %s", errStalled, w.Stall))
			}
		}
	}
}

// listen passes on what the worker tells, up to its last message; nil where it
// ended without one.
func (w Worker) listen(p *process) *message {
	lines := bufio.NewReaderSize(p.out, 1<<16)
	logs := 0
	for {
		line, err := readLine(lines)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				p.end(err)
			}
			return nil
		}
		var m message
		if err := json.Unmarshal(line, &m); err != nil {
			p.end(errors.New("it spoke no language of a worker's"))
			return nil
		}
		switch m.Kind {
		case kindStart, kindStep, kindEnd:
			p.alive.Store(int64(time.Since(p.began)))
			w.show(m)
		case kindLog:
			if logs++; logs <= maxLogs {
				w.log(m)
			}
		case kindDone:
			return &m
		}
	}
}

func (w Worker) show(m message) {
	switch m.Kind {
	case kindStart:
		w.Sink.Start(plain(m.Text, maxNote), max(m.Total, 0))
	case kindStep:
		w.Sink.Step(plain(m.Text, maxNote))
	case kindEnd:
		w.Sink.End()
	}
}

func (w Worker) log(m message) {
	fields := logrus.Fields{}
	for key, value := range m.Fields {
		fields[plain(key, maxNote)] = plain(value, maxText)
	}
	text := plain(m.Text, maxText)
	switch log := w.Log.WithFields(fields); m.Level {
	case "debug", "trace":
		log.Debug(text)
	case "info":
		log.Info(text)
	case "warning":
		log.Warn(text)
	default:
		log.Error(text)
	}
}

// readLine is the next line, of bounded length.
func readLine(from *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := from.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, errors.New("it sent a message without end")
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		}
		return line, err
	}
}

// judge words how a worker ended.
func (w Worker) judge(ctx context.Context, p *process, last *message, waited error, result any) (bool, error) {
	if text := p.printed.String(); text != "" {
		w.Log.Debugf("the worker printed: %s", plain(text, maxDetail))
	}
	why, _ := p.why.Load().(error)
	switch {
	case last != nil:
		has := len(last.Result) > 0
		if has {
			if err := json.Unmarshal(last.Result, result); err != nil {
				return false, fmt.Errorf("read the worker's result: %w", err)
			}
		}
		return has, last.Error.err()
	case ctx.Err() != nil:
		return false, ctx.Err()
	case why != nil:
		return false, fmt.Errorf("the worker was ended: %w", why)
	case waited == nil:
		return false, errors.New("the worker ended without a word")
	}
	return false, crash(waited, p.printed.String())
}

// crash tells of a worker that ended by itself and without a last message.
func crash(waited error, printed string) error {
	var exit *exec.ExitError
	if !errors.As(waited, &exit) {
		return fmt.Errorf("the worker: %w", waited)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		switch status.Signal() {
		case syscall.SIGSYS:
			return fault.Misuse("the model's code tried to start a program, to look into another process or to change the system, and was stopped: do not use this file")
		case syscall.SIGKILL:
			return errors.New("the worker was killed, by somebody or for lack of memory")
		}
		return fmt.Errorf("the worker crashed (%v): the model does what libtorch does not survive", status.Signal())
	}
	// Go's runtime ends so, with a first line that says why.
	first, _, _ := strings.Cut(strings.TrimSpace(printed), "\n")
	first = plain(first, maxNote)
	switch {
	case strings.Contains(printed, "out of memory"), strings.Contains(printed, "bad_alloc"):
		return errors.New("the worker ran out of memory: lower the batch sizes, or use a machine with more")
	case first == "":
		return fmt.Errorf("the worker crashed: %w", exit)
	}
	return fmt.Errorf("the worker crashed (%s): the model does what libtorch does not survive, or this is a fault of ulrl's; --log-level debug tells more", first)
}

// printout keeps the beginning of what a worker prints.
type printout struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *printout) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := maxDetail - t.text.Len(); room > 0 {
		t.text.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

func (t *printout) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}
