// Package batch is what the commands share that run ulrl over many models.
package batch

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"ulrl/pipeline/config"
)

// Sets is a repeatable flag: settings, KEY=VALUE each.
type Sets []string

// Set adds a setting.
func (s *Sets) Set(text string) error {
	*s = append(*s, text)
	return nil
}

func (s *Sets) String() string { return strings.Join(*s, " ") }

// Arguments are ulrl's for settings.
func Arguments(sets ...string) []string {
	var args []string
	for _, set := range sets {
		args = append(args, "--set", set)
	}
	return args
}

// List splits at commas.
func List(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}

// Attacks are those named, or all there are where none is.
func Attacks(text string) []string {
	names := List(text)
	if len(names) > 0 {
		return names
	}
	for _, file := range config.Builtins() {
		if name := strings.TrimSuffix(file, ".yaml"); name != "base" {
			names = append(names, name)
		}
	}
	return names
}

// Run says what it runs and runs it, its output on stderr; an interrupt ends it gently.
func Run(ctx context.Context, binary string, args ...string) error {
	fmt.Fprintln(os.Stderr, binary, strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}
