// Package fault tells misuse (what the user can mend by changing an input, a
// flag or a config) from failure, so that one place can map errors to exit codes.
package fault

import (
	"errors"
	"fmt"
)

type misuse struct{ err error }

func (m *misuse) Error() string { return m.err.Error() }
func (m *misuse) Unwrap() error { return m.err }

// Misuse formats like fmt.Errorf (%w included) and marks the error as misuse.
func Misuse(format string, args ...any) error {
	return &misuse{fmt.Errorf(format, args...)}
}

// AsMisuse marks an existing error as misuse; nil stays nil.
func AsMisuse(err error) error {
	if err == nil {
		return nil
	}
	return &misuse{err}
}

// IsMisuse reports whether err, or an error it wraps, was marked as misuse.
func IsMisuse(err error) bool {
	var m *misuse
	return errors.As(err, &m)
}
