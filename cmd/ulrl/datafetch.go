package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/fetch"
)

func newDataFetchCommand(a *app) *cobra.Command {
	var o fetch.Options
	names := strings.Join(fetch.Names(), ", ")
	cmd := &cobra.Command{
		Use:   "fetch NAME",
		Short: "Bring a data set from where it is given out",
		Long: `fetch brings ` + names + ` from where it is given out,
compares it with its published sum and unpacks it into a folder of its name. What
broke off goes on with the same command.`,
		Example: "  ulrl data fetch cifar10\n  ulrl data fetch gtsrb --from /mnt/archives",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fault.Misuse("name one data set: %s", names)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDataFetch(cmd.Context(), a, o, args[0])
		},
		ValidArgs: fetch.Names(),
	}
	cmd.Flags().StringVar(&o.Dir, "dir", "data", "the `FOLDER` in which the set gets its own")
	cmd.Flags().StringVar(&o.From, "from", "", "a mirror's `URL`, or a folder that holds the archives")
	a.registerJSON(cmd)
	return cmd
}

// fetchPause is how long a transfer that broke off waits at first.
const fetchPause = 2 * time.Second

// fetched is what "data fetch" did, and how a config uses it.
type fetched struct {
	*fetch.Result
	Data map[string]any `json:"data"`
}

func runDataFetch(ctx context.Context, a *app, o fetch.Options, name string) error {
	for _, set := range fetch.Sets() {
		if set.Name != name {
			continue
		}
		t := a.tracker()
		defer t.End()
		t.unit = "MiB"
		o.Progress, o.Pause = t, fetchPause
		result, err := a.engine.fetch(ctx, set, o)
		if err != nil {
			return err
		}
		data := map[string]any{"name": set.Name, "kind": set.Kind, "dir": result.Directory, "classes": set.Classes}
		return a.show(fetched{result, data}, func(w io.Writer) { writeFetched(w, set, result) })
	}
	return fault.Misuse("no data set %q is known: wanted one of %s", name, strings.Join(fetch.Names(), ", "))
}

func writeFetched(w io.Writer, set fetch.Set, r *fetch.Result) {
	if r.Already {
		fmt.Fprintf(w, "%s is in %s already\n", set.Name, printable(r.Directory))
	} else {
		fmt.Fprintf(w, "%s is in %s, %s fetched\n", set.Name, printable(r.Directory), size(r.Bytes))
	}
	fmt.Fprintf(w, "\nIn a config\n  data: {name: %s, kind: %s, dir: %s, classes: %d}\n", set.Name, set.Kind, printable(r.Directory), set.Classes)
}
