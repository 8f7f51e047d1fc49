package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/sirupsen/logrus"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"ulrl/pipeline/runstore"
	"ulrl/pipeline/sweep"
)

// sweepView shows a sweep: on a terminal a bar for all of it and a line for each
// worker, with a log line for each job that ends; elsewhere log lines alone.
type sweepView struct {
	log     logrus.FieldLogger
	console *console
	bars    *mpb.Progress // nil where there is no terminal
	all     *mpb.Bar
	lines   []*mpb.Bar

	mu      sync.Mutex
	workers []workerLine
	done    int
	total   int
	failed  int
	began   time.Time
	now     int // jobs that ended now
}

// workerLine is what one worker is at.
type workerLine struct {
	job   string
	phase phase
}

// newSweepView shows a plan's jobs, of those that run at once as many as there are
// slots; pace says how many that are.
func newSweepView(a *app, store *sweep.Store, plan *sweep.Plan, slots int, pace string) (*sweepView, error) {
	v := &sweepView{log: a.log, console: a.console, workers: make([]workerLine, slots), total: len(plan.Jobs), began: time.Now()}
	for _, job := range plan.Jobs {
		state, err := store.State(job)
		if err != nil {
			return nil, err
		}
		if state.Status == sweep.StatusDone {
			v.done++
		}
	}
	v.log.Infof("%d of %d jobs are done already%s", v.done, v.total, pace)
	if !a.console.terminal || !a.logging.text(a.console) || a.logging.Quiet || a.getenv("TERM") == "dumb" {
		return v, nil
	}
	v.bars = a.console.startBars()
	v.all = v.bars.AddBar(int64(v.total),
		mpb.BarWidth(barWidth),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return "\r" + runewidth.FillRight("sweep", nameWidth) })),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return v.overall() })),
	)
	v.all.SetCurrent(int64(v.done))
	for i := range slots {
		v.lines = append(v.lines, v.bars.New(0, mpb.NopStyle(),
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return v.worker(i) })),
		))
	}
	return v, nil
}

// line is a worker's, or for a job that is not shown one that nobody sees.
func (v *sweepView) line(slot int) *workerLine {
	if slot < 0 {
		return &workerLine{}
	}
	return &v.workers[slot]
}

// overall is how far the sweep is and how long yet, by the pace so far.
func (v *sweepView) overall() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	text := fmt.Sprintf("%d of %d jobs", v.done, v.total)
	if v.failed > 0 {
		text += fmt.Sprintf(", %d failed", v.failed)
	}
	if left := v.total - v.done - v.failed; v.now > 0 && left > 0 {
		text += "  " + clock(time.Since(v.began)/time.Duration(v.now)*time.Duration(left)) + " left"
	}
	return text
}

func (v *sweepView) worker(i int) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	line := v.workers[i]
	if line.job == "" {
		return "  –"
	}
	parts := []string{"  " + runewidth.FillRight(printable(line.job), 28), printable(line.phase.name)}
	if line.phase.total > 0 {
		parts = append(parts, fmt.Sprintf("%d%%", 100*min(line.phase.done, line.phase.total)/line.phase.total))
		if left := line.phase.left(time.Now()); left != "" {
			parts = append(parts, left+" left")
		}
	}
	return strings.Join(append(parts, printable(line.phase.note)), "  ")
}

// hear takes in an event.
func (v *sweepView) hear(e sweep.Event) {
	v.mu.Lock()
	v.take(e)
	done := v.done
	v.mu.Unlock()
	switch e.What {
	case sweep.EventStarted:
		if v.bars == nil {
			v.log.Infof("%s: started", e.Job.ID)
		}
	case sweep.EventDone:
		v.log.Infof("%s: done in %s%s", e.Job.ID, seconds(e.Seconds), cleaned(e.Job))
	case sweep.EventRetry:
		v.log.Warnf("%s: %v; it is tried again (%s)", e.Job.ID, e.Err, e.Log)
	case sweep.EventFailed:
		v.log.Errorf("%s: %v (%s)", e.Job.ID, e.Err, e.Log)
	case sweep.EventSkipped:
		v.log.Warnf("%s: skipped, since %s failed", e.Job.ID, e.Job.Needs)
	case sweep.EventDamaged:
		v.log.Warnf("%s: %v; it is done again", e.Job.ID, e.Err)
	case sweep.EventStopped:
		why := ""
		if e.Err != nil {
			why = ": " + e.Err.Error()
		}
		v.log.Warnf("%s: stopped%s", e.Job.ID, why)
	}
	if v.all != nil {
		v.all.SetCurrent(int64(done))
	}
}

// take keeps the counts and the workers' lines.
func (v *sweepView) take(e sweep.Event) {
	switch e.What {
	case sweep.EventStarted:
		*v.line(e.Slot) = workerLine{job: e.Job.ID}
	case sweep.EventProgress:
		p := &v.line(e.Slot).phase
		if p.name != e.Phase {
			*p = phase{name: e.Phase, start: time.Now()}
		}
		p.done, p.total, p.note = e.Done, e.Total, e.Note
	case sweep.EventDone:
		*v.line(e.Slot) = workerLine{}
		v.done++
		v.now++
	case sweep.EventFailed:
		*v.line(e.Slot) = workerLine{}
		v.failed++
	case sweep.EventStopped, sweep.EventRetry:
		*v.line(e.Slot) = workerLine{}
	case sweep.EventSkipped:
		v.failed++
	}
}

// cleaned is what a job's result says, for its log line.
func cleaned(j *sweep.Job) string {
	if j.Kind != sweep.KindClean {
		return ""
	}
	r, err := runstore.ReadResult(j.Dir)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(": ACC %s to %s, ASR %s to %s", bare(r.Before.ACC), bare(r.After.ACC), bare(r.Before.ASR), bare(r.After.ASR))
}

func bare(share *float64) string { return strings.TrimSpace(percent(share)) }

// end takes the bars off the terminal.
func (v *sweepView) end() {
	if v.bars == nil {
		return
	}
	for _, line := range v.lines {
		line.Abort(true)
	}
	v.all.Abort(true)
	v.console.stopBars()
}
