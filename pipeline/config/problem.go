package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"ulrl/pipeline/fault"
)

// problems is everything found wrong in a configuration; as an error it is one
// line.
type problems []string

// Error is the first problem, and how many more there are.
func (p problems) Error() string {
	if len(p) == 1 {
		return p[0]
	}
	return fmt.Sprintf("%s (and %d more)", p[0], len(p)-1)
}

func (p *problems) add(format string, args ...any) {
	*p = append(*p, fmt.Sprintf(format, args...))
}

// inOrder are the problems of each file by their lines, the files as they come.
func (p problems) inOrder() problems {
	var files []string
	for _, problem := range p {
		if file, _ := place(problem); !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return slices.SortedStableFunc(slices.Values(p), func(a, b string) int {
		fileA, lineA := place(a)
		fileB, lineB := place(b)
		return cmp.Or(cmp.Compare(slices.Index(files, fileA), slices.Index(files, fileB)), cmp.Compare(lineA, lineB))
	})
}

// place is where a problem is: a file, or what else it begins with, and a line, 0 for none.
func place(problem string) (file string, line int) {
	where, _, _ := strings.Cut(problem, ": ")
	i := strings.LastIndexByte(where, ':')
	if line, err := strconv.Atoi(where[i+1:]); i >= 0 && err == nil {
		return where[:i], line
	}
	return where, 0
}

// err is nil where nothing was found, misuse otherwise.
func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return fault.AsMisuse(p)
}

// Problems is every problem behind an error of Load or Default, one line each:
// the error's own text names the first alone. It is nil for other errors.
func Problems(err error) []string {
	var p problems
	if errors.As(err, &p) {
		return p
	}
	return nil
}

// maxShown is how many characters of a value or a name a message quotes.
const maxShown = 80

// plain makes a value or a key fit for a message: printable, and never long.
func plain(s string) string { return printable(clip(s)) }

// printable is s as it is where a terminal can show it on one line, quoted
// otherwise.
func printable(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// quoted is s in quotes, and never long.
func quoted(s string) string { return strconv.Quote(clip(s)) }

func clip(s string) string {
	if r := []rune(s); len(r) > maxShown {
		return string(r[:maxShown]) + "…"
	}
	return s
}
