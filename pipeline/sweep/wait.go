package sweep

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"
)

// Wait follows what Slurm was given of a plan until none of it is in the queue,
// and tells of it as Local does; shown running jobs have slots, the others none
// (-1).
func (s *Store) Wait(ctx context.Context, p *Plan, shown int, every time.Duration, watch func(Event)) (Summary, error) {
	w := waiter{store: s, plan: p, watch: watch, slots: make([]string, shown), last: map[string]string{}}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for first := true; ; first = false {
		sum, over, err := w.look(ctx, first)
		if err != nil || over {
			return sum, err
		}
		select {
		case <-ctx.Done():
			return sum, ctx.Err()
		case <-tick.C:
		}
	}
}

type waiter struct {
	store *Store
	plan  *Plan
	watch func(Event)
	slots []string          // IDs of the jobs that are shown
	last  map[string]string // status by ID
}

// look asks once how all stands; what was so before the first look is no news.
func (w *waiter) look(ctx context.Context, first bool) (sum Summary, over bool, err error) {
	tasks, err := w.store.Tasks(ctx)
	if err != nil {
		return sum, false, err
	}
	states, err := w.store.StatesBeside(w.plan, tasks)
	if err != nil {
		return sum, false, err
	}
	over = true
	for i, job := range w.plan.Jobs {
		state, before := states[i], w.last[job.ID]
		w.last[job.ID] = state.Status
		live := tasks[job.ID].Live()
		over = over && (!live || state.Status == StatusDone)
		switch state.Status {
		case StatusDone:
			sum.Done++
		case StatusFailed:
			sum.Failed++
		default:
			sum.Waiting++
		}
		e := Event{Job: job, Slot: w.slot(job.ID), Seconds: state.Seconds, Log: w.store.LogPath(job)}
		news := state.Status != before && !first
		if state.Status != StatusRunning && e.Slot >= 0 {
			w.slots[e.Slot] = ""
		}
		switch {
		case state.Status == StatusRunning:
			if e.Slot < 0 {
				if e.Slot = w.slot(""); e.Slot >= 0 {
					w.slots[e.Slot] = job.ID
				}
			}
			if state.Status != before {
				e.What = EventStarted
				w.watch(e)
			}
			if line, ok := lastProgress(e.Log); ok {
				e.What, e.Phase, e.Done, e.Total, e.Note = EventProgress, line.Phase, line.Step, line.Of, line.Note
				w.watch(e)
			}
		case news && state.Status == StatusDone:
			e.What = EventDone
			w.watch(e)
		case news && state.Status == StatusFailed:
			e.What, e.Err = EventFailed, errors.New(state.Error)
			w.watch(e)
		case news && state.Status == StatusInterrupted:
			e.What, e.Err = EventStopped, errors.New(state.Error)
			w.watch(e)
		case news && before == StatusRunning: // back in the queue
			e.What, e.Err = EventRetry, errors.New(state.Error)
			w.watch(e)
		}
	}
	return sum, over, nil
}

// slot is the one of a job, or with "" a free one; -1: none.
func (w *waiter) slot(id string) int {
	for i, at := range w.slots {
		if at == id {
			return i
		}
	}
	return -1
}

// tail is how much of a log's end is read for its progress.
const tail = 4096

// lastProgress is the last progress that a worker's log tells of.
func lastProgress(path string) (progressLine, bool) {
	var found progressLine
	f, err := os.Open(path)
	if err != nil {
		return found, false // it has not begun
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tail {
		_, _ = f.Seek(-tail, io.SeekEnd)
	}
	text, _ := io.ReadAll(io.LimitReader(f, tail))
	ok := false
	for line := range bytes.Lines(text) {
		var p progressLine
		if json.Unmarshal(line, &p) == nil && p.Phase != "" {
			found, ok = p, true
		}
	}
	return found, ok
}
