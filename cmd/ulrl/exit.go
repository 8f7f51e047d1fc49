package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
)

// Exit codes.
const (
	exitFailure     = 1
	exitMisuse      = 2   // what the user can mend: a flag, a config, an input file
	exitInterrupted = 130 // as shells have it for SIGINT
)

// exitCode is the only place where errors become exit codes.
func (a *app) exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case fault.IsMisuse(err), !a.started: // before a command starts, only its command line can be wrong
		return exitMisuse
	default:
		return exitFailure
	}
}

// reported is an error of work that has something to show all the same: a run
// that was interrupted, a check that found faults.
type reported struct {
	error
	report any
}

func (r *reported) Unwrap() error { return r.error }

// report tells the user of an error and returns the exit code.
func (a *app) report(err error) int {
	code := a.exitCode(err)
	if err == nil {
		return code
	}
	fmt.Fprintf(a.console, "ulrl: %s\n", errorLine(err))
	if detail := torchDetail(err); detail != "" {
		a.log.Debug(detail)
	}
	// The flag itself is not seen where parsing stopped before it.
	if a.json || slices.Contains(a.args, "--json") {
		a.json = true
		if e := a.show(failure(err, code), nil); e != nil {
			fmt.Fprintf(a.console, "ulrl: %s\n", errorLine(e))
		}
	}
	return code
}

// failure is what --json prints on an error: the message, the exit code, and
// beside them what there is to show.
func failure(err error, code int) map[string]any {
	fields := map[string]any{}
	var r *reported
	if errors.As(err, &r) {
		data, e := json.Marshal(r.report)
		if e == nil {
			e = json.Unmarshal(data, &fields)
		}
		if e != nil {
			err = fmt.Errorf("%w (its report cannot be shown: %w)", err, e)
		}
	}
	fields["error"], fields["exit"] = errorLine(err), code
	return fields
}

// errorLine is err in one line that a terminal can show.
func errorLine(err error) string {
	text := err.Error()
	if errors.Is(err, context.Canceled) {
		text = strings.ReplaceAll(text, context.Canceled.Error(), "interrupted")
	}
	// cobra puts its suggestions on lines of their own.
	if before, after, ok := strings.Cut(text, "\n\nDid you mean this?\n"); ok {
		text = before + "; did you mean " + strings.Join(strings.Fields(after), " or ") + "?"
	}
	if len(config.Problems(err)) > 1 {
		text += "; all of them: ulrl config check FILE, with the same --set and --profile"
	}
	return printable(text)
}
