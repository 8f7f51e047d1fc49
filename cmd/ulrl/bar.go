package main

import (
	"fmt"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

const (
	barWidth  = 26 // columns at most: the note says more than the bar
	nameWidth = 15 // "evaluate before"
)

// terminalBar is the bar of one phase. It vanishes with its phase; the tracker's
// log line stays.
type terminalBar struct {
	*mpb.Bar
	console *console
	noteMax int // columns of the longest note so far, so that the bar keeps still
}

func newTerminalBar(c *console, t *tracker, options ...mpb.ContainerOption) bar {
	b := &terminalBar{console: c}
	filler := mpb.BarStyle().Padding(" ")
	var style mpb.BarFillerBuilder = filler
	if t.phase.total == 0 {
		style = mpb.SpinnerStyle("|", "/", "-", "\\").PositionLeft()
	}
	// A total of 0 here, set below: else the bar ends itself with its last step.
	mb, err := c.startBars(options...).Add(0, style.Build(),
		mpb.BarWidth(barWidth),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return b.name(t.snapshot()) })),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return b.status(t.snapshot(), t) })),
	)
	if err != nil { // the terminal is gone
		c.stopBars()
		return nil
	}
	mb.SetTotal(int64(t.phase.total), false)
	mb.SetCurrent(int64(t.phase.done))
	b.Bar = mb
	return b
}

// snapshot is the phase as it is now.
func (t *tracker) snapshot() phase {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.phase
}

func (b *terminalBar) name(p phase) string {
	// The terminal's echo of ^C may have moved the cursor off the first column.
	return "\r" + runewidth.FillRight(printable(p.name), nameWidth)
}

// status is what stands behind the bar: how far, how long yet, the note.
func (b *terminalBar) status(p phase, t *tracker) string {
	now := t.now()
	far, left := "", clock(now.Sub(p.start))
	switch {
	case p.total == 0 && p.done > 0:
		far = fmt.Sprintf("%d  ", p.done)
	case p.total > 0:
		far = fmt.Sprintf("%3d%%  ", 100*min(p.done, p.total)/p.total)
		left = "      "
		if l := p.left(now); l != "" {
			left = l + " left"
		}
	}
	note := printable(p.note)
	b.noteMax = max(b.noteMax, runewidth.StringWidth(note))
	return far + left + "  " + runewidth.FillRight(note, b.noteMax)
}

// stop takes the bar off the terminal.
func (b *terminalBar) stop() {
	b.Abort(true)
	b.console.stopBars()
}
