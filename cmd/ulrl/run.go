package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"ulrl/pipeline/config"
	"ulrl/pipeline/runstore"
)

type runOptions struct {
	configOptions
	Force bool
}

func newRunCommand(a *app) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run -c FILE",
		Short: "Clean a model: unlearn, find suspicious neurons, relearn",
		Long: `run loads the model that the config names, unlearns to find the
suspicious neurons and class, relearns on the clean samples against the
backdoor, and writes the cleaned model, a report and every measurement to the
run directory.`,
		Example: "  ulrl run -c configs/badnets.yaml\n  ulrl run -c mine.yaml --set model.path=mine.pt --json",
		Args:    noArgs(configByFlag),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runRun(cmd.Context(), a, o)
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&o.Force, "force", false, "replace the run that is in the run directory")
	a.registerConfinement(cmd)
	a.registerJSON(cmd)
	return cmd
}

// runReport is a run's result and where it lies.
type runReport struct {
	Directory string
	*runstore.Result
}

// MarshalJSON is the result's with "directory" before it.
func (r runReport) MarshalJSON() ([]byte, error) {
	directory, err := json.Marshal(r.Directory)
	if err != nil {
		return nil, err
	}
	result, err := json.Marshal(r.Result)
	if err != nil {
		return nil, err
	}
	// Embedding alone would not do: the result encodes itself.
	return slices.Concat([]byte(`{"directory":`), directory, []byte(","), result[1:]), nil
}

func runRun(ctx context.Context, a *app, o runOptions) error {
	c, err := o.load(a, "run")
	if err != nil {
		return err
	}
	report, err := runPipeline(ctx, a, c, o.Force)
	if err != nil {
		return err
	}
	return a.show(report, func(w io.Writer) { writeRun(w, a.width, report) })
}

func runPipeline(ctx context.Context, a *app, c *config.Config, force bool) (*runReport, error) {
	engine, env, progress, err := a.job()
	if err != nil {
		return nil, err
	}
	defer progress.End()
	result, err := engine.run(ctx, c, env, force)
	report := &runReport{Directory: c.Output, Result: result}
	if err != nil && result != nil {
		err = &reported{fmt.Errorf("%w; %s keeps what was done", err, c.Output), report}
	}
	return report, err
}
