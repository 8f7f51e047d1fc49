package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/sirupsen/logrus"

	"ulrl/pipeline/progress"
)

// Output is the descriptor on which a worker's messages leave.
const Output = 3

// Job does what a request asks. The result, if any, is sent also beside an error.
type Job func(ctx context.Context, r Request, log *logrus.Logger, sink progress.Sink) (any, error)

// Serve reads a request from in, does the job and writes messages to out until it
// is done. The end of in stops the job, as Ctrl-C would: signals of the terminal
// are left to the process that started this one.
func Serve(in io.Reader, out io.Writer, job Job) error {
	// A full file shall be an error, not the end.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE, syscall.SIGXFSZ)
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	var r Request
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		var cause error
		if why, _ := io.ReadAll(io.LimitReader(lines, maxText)); len(why) > 0 {
			cause = errors.New(string(why))
		}
		cancel(cause)
	}()
	s := &sender{out: out}
	result, err := job(ctx, r, s.logger(r.Debug), s)
	done := message{Kind: kindDone, Error: newFailure(err)}
	if result != nil {
		text, err := json.Marshal(result)
		if err != nil {
			return fmt.Errorf("encode the result: %w", err)
		}
		done.Result = text
	}
	return s.send(done)
}

// sender is a worker's progress.Sink and the output of its log.
type sender struct {
	mu  sync.Mutex
	out io.Writer
}

func (s *sender) send(m message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.out.Write(append(text, '\n'))
	return err
}

// What cannot be told to a process that is gone is no error of the job.

// Start begins a phase.
func (s *sender) Start(phase string, total int) {
	_ = s.send(message{Kind: kindStart, Text: phase, Total: total})
}

// Step says that one step is done.
func (s *sender) Step(note string) { _ = s.send(message{Kind: kindStep, Text: note}) }

// End closes the phase.
func (s *sender) End() { _ = s.send(message{Kind: kindEnd}) }

func (s *sender) logger(debug bool) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.InfoLevel)
	if debug {
		log.SetLevel(logrus.DebugLevel)
	}
	log.AddHook(logHook{s})
	return log
}

type logHook struct{ to *sender }

func (logHook) Levels() []logrus.Level { return logrus.AllLevels }

func (h logHook) Fire(e *logrus.Entry) error {
	m := message{Kind: kindLog, Level: e.Level.String(), Text: e.Message, Fields: map[string]string{}}
	for key, value := range e.Data {
		m.Fields[key] = fmt.Sprint(value)
	}
	return h.to.send(m)
}
