package sweep

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"ulrl/pipeline/fault"
)

// exitMisuse is the worker's exit code where trying again would not help.
const exitMisuse = 2

// storeError is a failure to write the sweep's own files.
type storeError struct{ error }

func (e *storeError) Unwrap() error { return e.error }

// slot works on what it is fed. It keeps to one thread of the system: its
// workers are killed with the thread that started them, should this process be
// killed.
func (l *Local) slot(ctx context.Context, i int, feed <-chan *Job, results chan<- result) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for job := range feed {
		results <- result{i, job, l.work(ctx, i, job)}
	}
}

// work tries a job until it is done, fails for good or is interrupted.
func (l *Local) work(ctx context.Context, slot int, job *Job) error {
	for attempt := 1; ; attempt++ {
		began := time.Now() // UTC() takes the monotonic clock off it, and a clock that is set would count
		state := State{Status: StatusRunning, Attempts: attempt, Started: began.UTC(), Task: l.Task, Node: l.Node}
		if err := l.Store.setState(job, state); err != nil {
			return &storeError{err}
		}
		l.tell(Event{Job: job, Slot: slot, What: EventStarted})
		err := l.attempt(ctx, slot, job)
		state.Seconds = time.Since(began).Seconds()
		news := Event{Job: job, Slot: slot, What: EventDone, Err: err, Log: l.Store.LogPath(job), Seconds: state.Seconds}
		again := false
		switch {
		case err == nil:
			state.Status = StatusDone
		case ctx.Err() != nil:
			state.Status, news.What = StatusInterrupted, EventStopped
			if cause := context.Cause(ctx); !errors.Is(cause, ctx.Err()) {
				state.Error = cause.Error()
			}
		default:
			state.Status, state.Error, state.Misuse = StatusFailed, err.Error(), fault.IsMisuse(err)
			again = !state.Misuse && attempt <= l.Retries && !errors.As(err, new(*storeError))
			news.What = EventFailed
			if again {
				news.What = EventRetry
			}
		}
		if e := l.Store.setState(job, state); e != nil {
			return &storeError{errors.Join(err, e)}
		}
		l.tell(news)
		if !again {
			return err
		}
	}
}

// attempt runs a job's process.
func (l *Local) attempt(ctx context.Context, slot int, job *Job) error {
	at := l.Slots[slot]
	c := *job.Config
	if at.Device != "" {
		c.Device = at.Device
	}
	if len(at.CPUs) > 0 {
		c.Threads = len(at.CPUs)
	}
	path, err := l.Store.writeConfig(job, &c)
	if err != nil {
		return &storeError{err}
	}
	log, err := os.OpenFile(l.Store.LogPath(job), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return &storeError{fmt.Errorf("write a worker's log: %w", err)}
	}
	defer func() { _ = log.Close() }()
	args := []string{"run", "-c", path}
	if job.Kind == KindAttack {
		args = []string{"attack", "-c", path, "--resume"}
	}
	cmd := exec.Command(l.Binary, append(args, "--log-format", "json", "--progress-every", "1s")...)
	cmd.Env = l.Env
	cmd.Stdout = log
	// Of its own group, so that Ctrl-C reaches it through this process alone; and
	// gone with the thread that starts it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	output, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	unpin, err := pin(at.CPUs)
	if err != nil {
		return err
	}
	err = cmd.Start()
	unpin()
	if err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	ended := make(chan struct{})
	var overMemory bool
	var watchers sync.WaitGroup
	watchers.Go(func() { l.stopWith(ctx, cmd.Process, ended) })
	watchers.Go(func() { overMemory = l.keepMemory(cmd.Process, ended) })
	last := l.follow(output, log, slot, job)
	err = cmd.Wait()
	close(ended)
	watchers.Wait()
	awaitGroup(cmd.Process.Pid)
	return l.judge(err, last, overMemory)
}

// awaitGroup waits for what a worker started to be gone with it: until then the
// run's folder may still be taken.
func awaitGroup(leader int) {
	for range 1000 {
		if errors.Is(syscall.Kill(-leader, 0), syscall.ESRCH) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// judge words how a worker ended.
func (l *Local) judge(err error, last string, overMemory bool) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case overMemory:
		return fmt.Errorf("it used more than %.1f GB of memory", float64(l.Memory)/1e9)
	case !errors.As(err, &exit):
		return err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		if status.Signal() == syscall.SIGKILL {
			return errors.New("it was killed, by somebody or for lack of memory")
		}
		return fmt.Errorf("it crashed: %v", status.Signal())
	}
	if last == "" {
		last = exit.Error()
	}
	if exit.ExitCode() == exitMisuse {
		return fault.Misuse("%s", last)
	}
	return errors.New(last)
}

// stopWith interrupts a worker when the sweep is, and kills one that takes longer
// than the grace.
func (l *Local) stopWith(ctx context.Context, p *os.Process, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	_ = p.Signal(os.Interrupt) // fails only where it is gone
	select {
	case <-ended:
	case <-time.After(l.Grace):
		_ = p.Kill()
	}
}

// memoryEvery is how often a worker's memory is looked at.
const memoryEvery = 200 * time.Millisecond

// keepMemory kills a worker that has more memory resident than it may.
func (l *Local) keepMemory(p *os.Process, ended <-chan struct{}) bool {
	if l.Memory == 0 {
		return false
	}
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return false
		case <-tick.C:
			if resident(p.Pid) > l.Memory {
				_ = p.Kill()
				return true
			}
		}
	}
}

// resident is the memory of a process and of those that it started: a model runs in
// one of its own.
func resident(pid int) int64 {
	sum := residentAlone(pid)
	tasks, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		return sum // the pattern is right
	}
	for _, file := range tasks {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it is gone
		}
		for _, child := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(child); err == nil {
				sum += residentAlone(n)
			}
		}
	}
	return sum
}

func residentAlone(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0 // it is gone
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// progressLine is what a worker logs of its progress.
type progressLine struct {
	Phase string `json:"phase"`
	Step  int    `json:"step"`
	Of    int    `json:"of"`
	Note  string `json:"note"`
}

// follow copies a worker's log lines to its file, tells of progress, and gives
// the error that it ended with, if it named one.
func (l *Local) follow(output io.Reader, log io.Writer, slot int, job *Job) (last string) {
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadBytes('\n')
		_, _ = log.Write(line) // the log is for people; the job goes on without it
		var p progressLine
		if bytes.HasPrefix(line, []byte("{")) && json.Unmarshal(line, &p) == nil && p.Phase != "" {
			l.tell(Event{Job: job, Slot: slot, What: EventProgress, Phase: p.Phase, Done: p.Step, Total: p.Of, Note: p.Note})
		}
		if text, ok := bytes.CutPrefix(line, []byte("ulrl: ")); ok {
			last = strings.TrimSpace(string(text))
		}
		if err != nil {
			return last
		}
	}
}
