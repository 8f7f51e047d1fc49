package main

import (
	"cmp"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// tracker shows how far a computation has come: by a bar on a terminal, by a
// log line now and then elsewhere. Each phase leaves one line behind.
type tracker struct {
	log    logrus.FieldLogger
	fields bool          // numbers as fields too, for machines
	every  time.Duration // the least time between two log lines of one phase
	unit   string        // what steps are; "": batches
	now    func() time.Time
	draw   func(*tracker) bar // nil: no bars

	mu    sync.Mutex // the bar is drawn from a goroutine of its own
	phase phase
	open  bool
	outer []phase // that wait for the open one
	bar   bar
	line  time.Time // of the last log line
}

// phase is how far one phase has come.
type phase struct {
	name  string
	done  int // steps
	total int // steps, 0: not known
	note  string
	start time.Time
}

// bar is one phase's bar on a terminal.
type bar interface {
	Increment()
	stop()
}

// tracker is the app's own: bars where people watch, unless they asked for none.
func (a *app) tracker() *tracker {
	t := &tracker{log: a.log, fields: !a.logging.text(a.console), every: a.logging.Every, now: time.Now}
	if a.console.terminal && a.logging.text(a.console) && !a.logging.Quiet && a.getenv("TERM") != "dumb" {
		t.draw = func(t *tracker) bar { return newTerminalBar(a.console, t) }
	}
	return t
}

// Start begins a phase. One that is open waits until the new one has ended:
// relearning may measure in between.
func (t *tracker) Start(name string, total int) {
	if t.open {
		t.hide()
		t.outer = append(t.outer, t.phase)
	}
	t.line = t.now()
	t.show(phase{name: name, total: total, start: t.line})
}

func (t *tracker) show(p phase) {
	t.mu.Lock()
	t.phase, t.open = p, true
	t.mu.Unlock()
	if t.draw != nil {
		t.bar = t.draw(t)
	}
}

func (t *tracker) hide() {
	if t.bar != nil {
		t.bar.stop()
		t.bar = nil
	}
}

// Step counts one step.
func (t *tracker) Step(note string) {
	t.mu.Lock()
	t.phase.done++
	if note != "" {
		t.phase.note = note
	}
	t.mu.Unlock()
	if t.bar != nil {
		t.bar.Increment()
		return
	}
	if now := t.now(); now.Sub(t.line) >= t.every {
		t.line = now
		t.say(t.phase.far(t.unit))
	}
}

// End closes the phase that was started last, if one is open.
func (t *tracker) End() {
	if !t.open {
		return
	}
	t.hide()
	t.say(t.phase.ended(t.unit) + " in " + seconds(t.spent()))
	t.open = false
	if n := len(t.outer); n > 0 {
		outer := t.outer[n-1]
		t.outer = t.outer[:n-1]
		t.show(outer)
	}
}

func (t *tracker) spent() float64 { return t.now().Sub(t.phase.start).Seconds() }

// say logs how far the phase has come, with the latest note.
func (t *tracker) say(how string) {
	log, line := t.log, t.phase.name+": "+how
	if !t.fields && t.phase.note != "" {
		line += ", " + t.phase.note
	}
	if t.fields {
		log = log.WithFields(logrus.Fields{
			"phase": t.phase.name, "step": t.phase.done, "of": t.phase.total, "note": t.phase.note,
			"seconds": math.Round(t.spent()*1000) / 1000,
		})
	}
	log.Info(line)
}

// far is how many steps are done.
func (p phase) far(unit string) string {
	unit = cmp.Or(unit, "batches")
	if p.total == 0 {
		return fmt.Sprintf("%d %s", p.done, unit)
	}
	return fmt.Sprintf("%d of %d %s", p.done, p.total, unit)
}

// ended is how the phase came to its end: some stop before their last step.
func (p phase) ended(unit string) string {
	if p.done < p.total {
		return "ended after " + p.far(unit)
	}
	return "done"
}

// left is how long the phase will take from now on, by its pace so far; "" where
// that cannot be told.
func (p phase) left(now time.Time) string {
	if p.done == 0 || p.done > p.total {
		return ""
	}
	pace := now.Sub(p.start) / time.Duration(p.done)
	return clock(pace * time.Duration(p.total-p.done))
}
