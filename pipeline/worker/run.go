package worker

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"strings"
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

// Do has a worker do what r asks and decodes what came of it, if anything, into
// result, also where it failed but had something to show.
func (w Worker) Do(ctx context.Context, r Request, result any) error {
	request, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	if limit, low := memoryLimit(); low {
		w.Log.Warnf("%s: with so little libtorch may crash or wait for ever", limit)
	}
	// The worker is killed with the thread that started it, should this process be.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, err := w.start()
	if err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	defer p.close()
	if _, err := p.in.Write(append(request, '\n')); err != nil {
		return fmt.Errorf("send the request to the worker: %w", err)
	}
	watched := make(chan struct{})
	go func() { w.watch(ctx, p); close(watched) }()
	last := w.listen(p)
	err = p.wait()
	<-watched
	return w.judge(ctx, p, last, err, result)
}

// watch stops the worker with the context or when its time is over, and ends it where it
// stalls or does not stop.
func (w Worker) watch(ctx context.Context, p *process) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	done := ctx.Done()
	var grace <-chan time.Time
	stop := func(why string) {
		go func() { // for it may not read
			_, _ = io.WriteString(p.in, why)
			_ = p.in.Close() // asks it to
		}()
		done, grace = nil, time.After(cmp.Or(w.Grace, DefaultGrace))
	}
	for {
		select {
		case <-p.ended:
			return
		case <-done:
			stop("")
		case <-grace:
			p.end(ctx.Err())
		case <-tick.C:
			switch {
			case w.Time > 0 && grace == nil && time.Since(p.began) > w.Time:
				why := fmt.Errorf("%w: more than the %s that --time-limit gives it", errTime, w.Time)
				p.blame(why)
				stop(why.Error())
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
	logged, phases := 0, 0
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
			if m.Kind == kindStart {
				phases++
			}
			if phases == 0 {
				continue // steps, or the end, of nothing
			}
			if phases > maxPhases {
				p.end(fmt.Errorf("it has more than %d phases open", maxPhases))
				return nil
			}
			w.show(m)
			if m.Kind == kindEnd {
				phases--
			}
		case kindLog:
			if logged += len(line); logged <= maxLogged {
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
		if len(fields) == maxFields {
			break
		}
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
func (w Worker) judge(ctx context.Context, p *process, last *message, waited error, result any) error {
	if text := p.printed.String(); text != "" {
		w.Log.Debugf("the worker printed: %s", plain(text, maxDetail))
	}
	why := p.reason()
	switch {
	case last != nil:
		if err := last.answer(result); err == nil || !errors.Is(why, errTime) {
			return err
		}
		return fmt.Errorf("the worker was stopped: %w", why)
	case ctx.Err() != nil:
		return ctx.Err()
	case why != nil:
		if limit, _ := memoryLimit(); limit != "" && errors.Is(why, errStalled) {
			why = fmt.Errorf("%w; %s, which it may have waited for", why, limit)
		}
		return fmt.Errorf("the worker was ended: %w", why)
	case waited == nil:
		return errors.New("the worker ended without a word")
	}
	return crash(waited, p.printed.String())
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
		return fmt.Errorf("the worker crashed (%v): the model does what libtorch does not survive; %s", status.Signal(), advice())
	}
	// Go's runtime ends so, with a first line that says why.
	first, _, _ := strings.Cut(strings.TrimSpace(printed), "\n")
	first = plain(first, maxNote)
	says := func(words ...string) bool {
		return slices.ContainsFunc(words, func(s string) bool { return strings.Contains(strings.ToLower(printed), s) })
	}
	switch {
	case says("out of memory", "cannot allocate memory", "bad_alloc", "too many memory regions"):
		return errors.New("the worker ran out of memory: lower the batch sizes, or use a machine with more")
	case says("pthread_create failed", "thread creation failed"):
		return errors.New("the worker may start no more threads or take no more memory: raise the limits (ulimit -a), or lower threads")
	case first == "":
		return fmt.Errorf("the worker crashed: %w", exit)
	case strings.HasPrefix(first, "panic:"):
		return fmt.Errorf("the worker crashed (%s): this is a fault of ulrl's; --log-level debug tells more", first)
	}
	return fmt.Errorf("the worker crashed (%s): the model does what libtorch does not survive, or this is a fault of ulrl's; %s, and --log-level debug tells more", first, advice())
}

// advice is what may help after a crash: libtorch 1.13 does not survive every batch of
// an odd size on several threads (docs/compatibility.md).
func advice() string {
	const always = "--set threads=1 or libtorch 2.x may help (docs/compatibility.md)"
	if limit, _ := memoryLimit(); limit != "" {
		return limit + ", and more of it, " + always
	}
	return always
}

// memoryLimit words the limit of memory that a worker inherits from this process, and
// says whether libtorch is likely to meet it; "" where there is none. Met, it is not
// always told of: libtorch crashes in places, and OpenBLAS asks again for ever.
func memoryLimit() (words string, low bool) {
	const enough = 1 << 30 // a run of a small model takes 0.6 GiB
	for _, l := range []struct{ which, flag int }{{unix.RLIMIT_DATA, 'd'}, {unix.RLIMIT_AS, 'v'}} {
		var limit unix.Rlimit
		if err := unix.Getrlimit(l.which, &limit); err == nil && limit.Cur != unix.RLIM_INFINITY {
			return fmt.Sprintf("memory is limited to %d KiB (ulimit -%c)", limit.Cur>>10, l.flag), limit.Cur < enough
		}
	}
	return "", false
}
