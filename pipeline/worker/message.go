// Package worker runs a job in a process of its own, which confines itself before
// it does anything with a model (package sandbox). The two speak in lines of JSON:
// the request goes to the worker's standard input, and comes to its end where the
// job shall stop; messages come back on a descriptor of their own, since what the
// worker prints may be the model's. Nothing that a worker says is trusted to be
// more than text and numbers.
package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/sandbox"
)

// Request is what a worker is asked to do.
type Request struct {
	Job     string          `json:"job"`
	Args    json.RawMessage `json:"args"` // the job's own
	Rights  sandbox.Rights  `json:"rights"`
	Command []string        `json:"command"` // as the user typed it, for the results
	Debug   bool            `json:"debug"`   // debug lines of the log are wanted
}

// message is a line from the worker.
type message struct {
	Kind   string            `json:"kind"`
	Text   string            `json:"text,omitempty"`   // of a phase, a step's note, a line of the log
	Total  int               `json:"total,omitempty"`  // steps of a phase
	Level  string            `json:"level,omitempty"`  // of a line of the log
	Fields map[string]string `json:"fields,omitempty"` // of a line of the log
	Result json.RawMessage   `json:"result,omitempty"` // of the end
	Error  *failure          `json:"error,omitempty"`  // of the end
}

// Kinds of message. Each phase's start, steps and end keep the worker from being
// taken for stuck.
const (
	kindStart = "start"
	kindStep  = "step"
	kindEnd   = "end"
	kindLog   = "log"
	kindDone  = "done" // the last
)

// answer decodes a last message's result, which is there where there is no error.
func (m message) answer(result any) error {
	if len(m.Result) > 0 && string(m.Result) != "null" {
		if err := json.Unmarshal(m.Result, result); err != nil {
			return fmt.Errorf("read the worker's result: %w", err)
		}
	} else if m.Error == nil {
		return errors.New("the worker sent no result")
	}
	return m.Error.err()
}

// failure is an error on its way to the other process.
type failure struct {
	Text     string `json:"text"`
	Detail   string `json:"detail,omitempty"` // for the debug log
	Misuse   bool   `json:"misuse,omitempty"`
	Canceled bool   `json:"canceled,omitempty"`
}

// Detailed is an error that has more to say to the debug log.
type Detailed interface {
	error
	Details() string
}

func newFailure(err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{Text: err.Error(), Misuse: fault.IsMisuse(err), Canceled: errors.Is(err, context.Canceled)}
	if d := Detailed(nil); errors.As(err, &d) {
		f.Detail = d.Details()
	}
	return f
}

// remote is a worker's error on this side.
type remote struct{ failure }

func (r *remote) Error() string   { return r.Text }
func (r *remote) Details() string { return r.Detail }

// Is makes an interrupt look like one.
func (r *remote) Is(target error) bool { return r.Canceled && target == context.Canceled }

// err is the error that f tells of, with no text longer or wilder than an error's.
func (f *failure) err() error {
	if f == nil {
		return nil
	}
	r := &remote{*f}
	r.Text, r.Detail = plain(f.Text, maxText), plain(f.Detail, maxDetail)
	if f.Misuse {
		return fault.AsMisuse(r)
	}
	return r
}

// Bounds of what a worker may say.
const (
	maxLine   = 64 << 20 // bytes of a message: a run's result holds every neuron's score
	maxText   = 4 << 10
	maxDetail = 64 << 10
	maxNote   = 300
	maxLogged = 8 << 20 // bytes of the lines of its log
	maxFields = 16      // of a line
	maxPhases = 16      // open ones
)

// plain cuts text and replaces what a terminal would obey.
func plain(text string, most int) string {
	if len(text) > most {
		for most > 0 && !utf8.RuneStart(text[most]) {
			most--
		}
		text = text[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
