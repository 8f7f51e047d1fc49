package main

import (
	"errors"
	"strings"
	"testing"

	"ulrl/pipeline/sweep"
)

// A job that is not among those that are shown has no slot, whatever becomes of it.
func TestSweepViewOfJobsThatAreNotShown(t *testing.T) {
	for _, slot := range []int{-1, 0} {
		var stderr strings.Builder
		a := newApp(&strings.Builder{}, &stderr, nil, fakeEngine(0))
		log, err := newLogger(logOptions{Level: "info", Format: "text"}, a.console)
		if err != nil {
			t.Fatal(err)
		}
		v := &sweepView{log: log, console: a.console, workers: make([]workerLine, 1), total: 4}
		job := &sweep.Job{ID: "wanet-1", Kind: sweep.KindAttack, Needs: "attack-wanet-1"}
		for _, e := range []sweep.Event{
			{What: sweep.EventStarted},
			{What: sweep.EventProgress, Phase: "train", Done: 3, Total: 12},
			{What: sweep.EventRetry, Err: errors.New("in the queue")},
			{What: sweep.EventStopped},
			{What: sweep.EventStopped, Err: errors.New("over its time limit")},
			{What: sweep.EventFailed, Err: errors.New("out of memory"), Log: "x.log"},
			{What: sweep.EventSkipped},
			{What: sweep.EventDamaged, Err: errors.New("its checksum is another")},
			{What: sweep.EventDone},
		} {
			e.Job, e.Slot = job, slot
			v.hear(e)
		}
		if v.done != 1 || v.failed != 2 || v.workers[0].job != "" {
			t.Errorf("slot %d: %d done, %d failed, worker %q", slot, v.done, v.failed, v.workers[0].job)
		}
		for _, want := range []string{"wanet-1: stopped\n", "wanet-1: stopped: over its time limit\n", "wanet-1: out of memory (x.log)\n"} {
			if !strings.Contains(stderr.String(), want) {
				t.Errorf("slot %d: no line %q in\n%s", slot, want, &stderr)
			}
		}
	}
}
