package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ulrl/pipeline"
	"ulrl/pipeline/fault"
)

func newScanCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scan FILE...",
		Short: "Check model files for what they could do, without loading them",
		Long: `scan checks TorchScript files as every command does before it loads one: names,
layout, code and pickled values. It runs nothing of a file and does not need
libtorch. Each file gets a line: ok, or why it is refused.

What passes is of a known form and names known operators only. That is no proof:
the other commands also look at what the code became once it is loaded.

Exit codes: 0 where all files pass, 2 where one is refused, 1 where one cannot
be read.`,
		Example: "  ulrl scan mine.pt\n  ulrl scan --json downloads/*.pt",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fault.Misuse("give files: ulrl scan mine.pt")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runScan(cmd.Context(), a, args) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"pt", "pth", "ts"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	a.registerJSON(cmd)
	return cmd
}

func runScan(ctx context.Context, a *app, paths []string) error {
	list, err := pipeline.Scan(ctx, paths)
	found := map[string]any{"files": list}
	render := func(w io.Writer) {
		for _, s := range list {
			fmt.Fprintf(w, "%s: %s\n", printable(s.Path), printable(scanLine(s)))
		}
	}
	if err != nil {
		return a.showFailed(err, found, render)
	}
	return a.show(found, render)
}

func scanLine(s pipeline.Scanned) string {
	switch {
	case s.OK:
		return "ok"
	case s.Refused != "":
		return "refused: " + s.Refused
	}
	return "not read: " + s.Error
}
