package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// unknown stands for what was not measured.
const unknown = "–"

// percent is a share as a percentage, right-aligned to eight columns.
func percent(share *float64) string {
	if share == nil {
		return fmt.Sprintf("%8s", unknown)
	}
	return fmt.Sprintf("%6.2f %%", 100**share)
}

// points is how many percentage points lie between two shares, with a sign.
func points(before, after *float64) string {
	if before == nil || after == nil {
		return fmt.Sprintf("%7s", unknown)
	}
	d := 100 * (*after - *before)
	if math.Abs(d) < 0.005 {
		d = 0 // never "-0.00"
	}
	return fmt.Sprintf("%+7.2f", d)
}

// seconds is a duration for people.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second)).Round(time.Second)
	switch {
	case s < 0.1:
		return fmt.Sprintf("%.0f ms", 1000*s)
	case s < 60:
		return fmt.Sprintf("%.1f s", s)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	default:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
}

// clock is a duration as a clock shows it: 0:07, 12:03, 1:02:03.
func clock(d time.Duration) string {
	s := int64(max(0, d.Round(time.Second)) / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%2d:%02d", s/60, s%60)
}

// grouped is a whole number with its thousands apart: 1,234,567.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
}

// printable is s in one line without what would steer a terminal: names come
// out of untrusted models.
func printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) || r == utf8.RuneError }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			b.WriteByte(' ')
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// clip is s, printable and at most n columns long.
func clip(s string, n int) string {
	r := []rune(printable(s))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}

// table writes rows of cells in columns, indented by two.
func table(w io.Writer, rows [][]string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(tw, "  %s\n", strings.TrimRight(strings.Join(row, "\t"), "\t "))
	}
	tw.Flush()
}

// paragraph writes text in lines of at most width columns; first stands before
// it, and the lines that follow are indented as far.
func paragraph(w io.Writer, width int, first, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(first))
	line, used := first, utf8.RuneCountInString(first)
	for i, word := range strings.Fields(printable(text)) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case used+1+n > width:
			fmt.Fprintln(w, line)
			line, used = indent, len(indent)
		default:
			line, used = line+" ", used+1
		}
		line, used = line+word, used+n
	}
	fmt.Fprintln(w, line)
}

// list writes a heading and texts as items below it; nothing without texts.
func list(w io.Writer, width int, heading string, texts []string) {
	if len(texts) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", heading)
	for _, text := range texts {
		paragraph(w, width, "  - ", text)
	}
}
