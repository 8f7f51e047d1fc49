package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"ulrl/pipeline/fault"
)

func TestFormat(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{percent(share(1)), "100.00 %"},
		{percent(share(0.00049)), "  0.05 %"},
		{percent(nil), "       –"},
		{points(share(0.5), share(0.25)), " -25.00"},
		{points(share(0.5), share(0.50001)), "  +0.00"},
		{points(nil, share(1)), "      –"},
		{seconds(0), "0 ms"},
		{seconds(0.05), "50 ms"},
		{seconds(59.94), "59.9 s"},
		{seconds(61), "1 min 1 s"},
		{seconds(119.6), "2 min 0 s"},
		{seconds(7260), "2 h 1 min"},
		{clock(7 * time.Second), " 0:07"},
		{clock(time.Hour + 2*time.Minute + 3*time.Second), "1:02:03"},
		{clock(-time.Second), " 0:00"},
		{grouped(0), "0"},
		{grouped(999), "999"},
		{grouped(1000), "1,000"},
		{grouped(-1234567), "-1,234,567"},
		{grouped(-100), "-100"},
		{size(12), "12 bytes"},
		{size(1 << 20), "1.0 MiB"},
		{size(3 << 30), "3.0 GiB"},
		{printable("plain –"), "plain –"},
		{printable("a\x1b[31mb\nc\x00\u202e\xff"), `a\x1b[31mb c\x00\u202e` + "\uFFFD"},
		{clip("abcdef", 4), "abc…"},
		{clip("abcd", 4), "abcd"},
		{fmt.Sprint(decimals(0), decimals(math.NaN()), decimals(math.Inf(1)), decimals(12.3), decimals(54321), decimals(1e-30)), "2 2 2 2 0 9"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestParagraph(t *testing.T) {
	var b strings.Builder
	paragraph(&b, 20, "  - ", "one two three four five averyveryverylongword six")
	const want = "  - one two three\n    four five\n    averyveryverylongword\n    six\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), exitFailure},
		{context.DeadlineExceeded, exitFailure},
		{fault.Misuse("x"), exitMisuse},
		{fmt.Errorf("y: %w", fault.Misuse("x")), exitMisuse},
		{fmt.Errorf("relearn: %w", context.Canceled), exitInterrupted},
		{&reported{fault.Misuse("x"), nil}, exitMisuse},
	} {
		a := &app{started: true}
		if got := a.exitCode(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("a\nb\x1b[2J"), `a b\x1b[2J`},
		{fmt.Errorf("unlearn: %w", context.Canceled), "unlearn: interrupted"},
		{context.Canceled, "interrupted"},
	} {
		if got := errorLine(c.err); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestInterruptible(t *testing.T) {
	signals, exits := make(chan os.Signal), make(chan int, 1)
	ctx := interruptible(t.Context(), signals, io.Discard, func(code int) { exits <- code })
	if ctx.Err() != nil {
		t.Fatal("cancelled before any signal")
	}
	signals <- os.Interrupt
	<-ctx.Done()
	select {
	case <-exits:
		t.Fatal("the first signal ended the process")
	default:
	}
	signals <- os.Interrupt
	if code := <-exits; code != exitInterrupted {
		t.Errorf("exit %d, want %d", code, exitInterrupted)
	}
}
