package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vbauerster/mpb/v8"
)

// fakeClock stands still until it is moved.
type fakeClock struct{ now time.Time }

func (c *fakeClock) time() time.Time { return c.now }

func testTracker(t *testing.T, format string) (*tracker, *fakeClock, *strings.Builder) {
	t.Helper()
	var stderr strings.Builder
	a := newApp(&strings.Builder{}, &stderr, nil, fakeEngine(0))
	a.logging = logOptions{Level: "info", Format: format, Every: 10 * time.Second}
	log, err := newLogger(a.logging, a.console)
	if err != nil {
		t.Fatal(err)
	}
	a.log = log
	clock := &fakeClock{time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)}
	tr := a.tracker()
	tr.now = clock.time
	return tr, clock, &stderr
}

// TestLinesInPlaceOfBars: off a terminal, at most one line per ten seconds and
// one at the end of each phase.
func TestLinesInPlaceOfBars(t *testing.T) {
	tr, clock, stderr := testTracker(t, "text")
	tr.Start("unlearn", 100)
	for i := range 100 {
		clock.now = clock.now.Add(250 * time.Millisecond)
		tr.Step(fmt.Sprintf("loss %d", i))
	}
	tr.End()
	tr.End() // once is enough
	tr.Start("load", 0)
	tr.End()
	tr.Start("relearn", 3)
	tr.Step("")
	tr.Start("measure", 1) // in between
	tr.Step("")
	tr.End()
	tr.Step("acc 1")
	tr.End()
	stamp := regexp.MustCompile(`(?m)^\S+ (info: )?`)
	got := stamp.ReplaceAllString(stderr.String(), "")
	const want = `unlearn: 40 of 100 batches, loss 39
unlearn: 80 of 100 batches, loss 79
unlearn: done in 25.0 s, loss 99
load: done in 0 ms
measure: done in 0 ms
relearn: ended after 2 of 3 batches in 0 ms, acc 1
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLinesForMachines(t *testing.T) {
	tr, clock, stderr := testTracker(t, "auto")
	tr.Start("relearn", 2)
	tr.Step("")
	clock.now = clock.now.Add(1500 * time.Millisecond)
	tr.Step("acc 0.9")
	tr.End()
	var line map[string]any
	if err := json.Unmarshal([]byte(stderr.String()), &line); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"phase": "relearn", "step": 2.0, "of": 2.0, "seconds": 1.5, "note": "acc 0.9", "msg": "relearn: done in 1.5 s"} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
}

// TestBarsLeaveLinesWhole: log lines come out whole and in order between the
// frames of a bar, the last one too.
func TestBarsLeaveLinesWhole(t *testing.T) {
	var stderr strings.Builder
	c := newConsole(&stderr)
	log, err := newLogger(logOptions{Level: "info", Format: "text"}, c)
	if err != nil {
		t.Fatal(err)
	}
	tr := &tracker{log: log, every: 10 * time.Second, now: time.Now}
	tr.draw = func(tr *tracker) bar {
		return newTerminalBar(c, tr, mpb.WithAutoRefresh(), mpb.WithWidth(80), mpb.WithRefreshRate(time.Millisecond))
	}
	want := []string{}
	for phase := range 3 {
		tr.Start(fmt.Sprintf("phase%d", phase), 50*(phase%2))
		for i := range 50 {
			line := fmt.Sprintf("line %d of phase %d", i, phase)
			want = append(want, line)
			log.Info(line)
			tr.Step(fmt.Sprintf("note %d", i))
			time.Sleep(100 * time.Microsecond)
		}
		tr.End()
		want = append(want, fmt.Sprintf("phase%d: done", phase))
	}
	got := screen(t, stderr.String())
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if _, message, _ := strings.Cut(got[i], " "); !strings.HasPrefix(message, want[i]) {
			t.Errorf("line %d is %q, want %q", i, got[i], want[i])
		}
	}
	if !strings.Contains(stderr.String(), "phase1") || !strings.Contains(stderr.String(), "left") {
		t.Error("no bar was drawn")
	}
}

// screen is what a tall terminal shows after text: the lines above the cursor.
func screen(t *testing.T, text string) []string {
	t.Helper()
	lines, row, col := [][]rune{nil}, 0, 0
	for _, part := range regexp.MustCompile(`\x1b\[\d*[A-Z]|\r|\n|[^\x1b\r\n]+`).FindAllString(text, -1) {
		switch {
		case part == "\r":
			col = 0
		case part == "\n":
			row, col = row+1, 0
			if row == len(lines) {
				lines = append(lines, nil)
			}
		case part == "\x1b[J":
			lines = lines[:row+1]
			lines[row] = lines[row][:min(col, len(lines[row]))]
		case strings.HasPrefix(part, "\x1b["):
			var up int
			if _, err := fmt.Sscanf(part, "\x1b[%dA", &up); err != nil || up > row {
				t.Fatalf("cannot follow %q", part)
			}
			row -= up
		default:
			line := lines[row]
			for len(line) < col {
				line = append(line, ' ')
			}
			end := min(col+len([]rune(part)), len(line))
			lines[row] = append(append(line[:col:col], []rune(part)...), line[end:]...)
			col += len([]rune(part))
		}
	}
	var shown []string
	for _, line := range lines[:row] {
		shown = append(shown, string(line))
	}
	return shown
}

func TestBarStatus(t *testing.T) {
	clock := &fakeClock{time.Unix(1000, 0)}
	tr := &tracker{every: 10 * time.Second, now: clock.time}
	b := &terminalBar{}
	for _, c := range []struct {
		p    phase
		want string
	}{
		{phase{total: 100, start: time.Unix(1000, 0)}, "  0%        "},
		{phase{total: 100, done: 25, note: "epoch 2/8", start: time.Unix(940, 0)}, " 25%   3:00 left  epoch 2/8"},
		{phase{total: 100, done: 50, note: "x", start: time.Unix(940, 0)}, " 50%   1:00 left  x        "},
		{phase{total: 2, done: 5, start: time.Unix(940, 0)}, "100%                    "},
		{phase{start: time.Unix(-6265, 0)}, "2:01:05           "},
		{phase{start: time.Unix(990, 0), done: 7}, "7   0:10           "},
	} {
		if got := b.status(c.p, tr); strings.TrimRight(got, " ") != strings.TrimRight(c.want, " ") {
			t.Errorf("%+v: got %q, want %q", c.p, got, c.want)
		}
	}
}
