package runstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/metrics"
)

// Kinds of events.
const (
	KindEpoch   = "epoch"
	KindPhase   = "phase"
	KindMeasure = "measure"
)

// States of a phase.
const (
	PhaseStart = "start"
	PhaseEnd   = "end"
)

// EpochEvent is one line of events.jsonl with kind "epoch".
type EpochEvent struct {
	Kind     string  `json:"kind"`
	Phase    string  `json:"phase"` // "unlearn", "relearn", of another attempt "relearn 2" and so on, or "train"
	Epoch    int     `json:"epoch"` // from 1
	LR       float64 `json:"lr"`
	Loss     float64 `json:"loss"`             // mean cross-entropy over the epoch's images
	Accuracy float64 `json:"accuracy"`         // over the forward passes of its own updates
	Cosine   float64 `json:"cosine,omitempty"` // relearn: Σ cos of the suspicious rows, mean over batches
	Seconds  float64 `json:"seconds"`
}

// PhaseEvent is one line of events.jsonl with kind "phase".
type PhaseEvent struct {
	Kind    string  `json:"kind"`
	Phase   string  `json:"phase"`             // as in Result.Seconds
	State   string  `json:"state"`             // PhaseStart or PhaseEnd
	Seconds float64 `json:"seconds,omitempty"` // how long it took, at its end
}

// MeasureEvent is a measurement between epochs, with kind "measure".
type MeasureEvent struct {
	Kind   string         `json:"kind"`
	Phase  string         `json:"phase"`
	Epoch  int            `json:"epoch"` // after which it was taken, from 1
	Scores metrics.Scores `json:"scores"`
}

// Event appends v to events.jsonl as one line, its time first. v must encode to
// a JSON object with a "kind" and no "time".
//
// Lines are not synced one by one (Finish and Close do that), so a power
// failure can lose the latest; a process that dies loses none, and at worst
// leaves its last line torn. A line that could not be written whole is taken
// back.
func (r *Run) Event(v any) error {
	line, err := eventLine(time.Now(), v)
	if err != nil {
		return fmt.Errorf("encode an event for %s: %w", r.Path(FileEvents), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.open(); err != nil {
		return err
	}
	if err := r.appendLine(line); err != nil {
		return fmt.Errorf("write %s: %w", r.Path(FileEvents), cause(err))
	}
	return nil
}

func (r *Run) appendLine(line []byte) error {
	if r.events == nil {
		f, err := os.OpenFile(r.Path(FileEvents), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		r.events = f
	}
	if _, err := r.events.Write(line); err != nil {
		_ = r.events.Truncate(r.eventsSize) // a torn line would spoil the next one
		return err
	}
	r.eventsSize += int64(len(line))
	return r.eventsInPlace()
}

// eventsInPlace fails where the directory was taken away, which writing to an open
// file does not tell: hours of work would have nowhere to go.
func (r *Run) eventsInPlace() error {
	held, err := r.events.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(r.Path(FileEvents))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || !os.SameFile(held, named) {
		return fmt.Errorf("the run directory was removed while the run was under way: %w", fs.ErrNotExist)
	}
	return nil
}

func eventLine(now time.Time, v any) ([]byte, error) {
	object, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var keys struct {
		Kind string          `json:"kind"`
		Time json.RawMessage `json:"time"`
	}
	if err := json.Unmarshal(object, &keys); err != nil {
		return nil, err
	}
	if keys.Kind == "" || keys.Time != nil {
		return nil, errors.New(`it needs a "kind" and no "time" of its own`)
	}
	line := []byte(`{"time":"` + now.Format(time.RFC3339Nano) + `",`)
	line = append(line, object[1:]...)
	return append(line, '\n'), nil
}

// ReadEvents returns the lines of dir's events.jsonl, none where there is no
// such file. A torn last line, which a crash can leave, is skipped; a broken
// line elsewhere is an error that names it.
func ReadEvents(dir string) ([]json.RawMessage, error) {
	path := filepath.Join(dir, FileEvents)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.Misuse("read %s: %w", path, cause(err))
	}
	var events []json.RawMessage
	for number := 1; len(data) > 0; number++ {
		line, rest, ended := bytes.Cut(data, []byte("\n"))
		data = rest
		switch line = bytes.TrimSpace(line); {
		case len(line) == 0:
		case json.Valid(line):
			events = append(events, json.RawMessage(line))
		case ended:
			return nil, fault.Misuse("%s:%d: not a JSON object; the file is damaged", path, number)
		}
	}
	return events, nil
}

// ReadEpochs returns the epochs among dir's events, in the order in which they
// happened.
func ReadEpochs(dir string) ([]EpochEvent, error) { return ofKind[EpochEvent](dir, KindEpoch) }

// ReadMeasures returns the measurements between epochs among dir's events.
func ReadMeasures(dir string) ([]MeasureEvent, error) { return ofKind[MeasureEvent](dir, KindMeasure) }

func ofKind[T any](dir, wanted string) ([]T, error) {
	events, err := ReadEvents(dir)
	if err != nil {
		return nil, err
	}
	var found []T
	for _, event := range events {
		var kind struct {
			Kind string `json:"kind"`
		}
		if err := json.Unmarshal(event, &kind); err != nil || kind.Kind != wanted {
			continue // of another kind, perhaps one that a later version added
		}
		var one T
		if err := json.Unmarshal(event, &one); err != nil {
			return nil, fault.Misuse("%s: an event of kind %q cannot be read: %w; the file is damaged", filepath.Join(dir, FileEvents), wanted, err)
		}
		found = append(found, one)
	}
	return found, nil
}
