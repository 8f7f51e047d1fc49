package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ulrl/pipeline/config"
)

func newDoctorCommand(a *app) *cobra.Command {
	var o configOptions
	cmd := &cobra.Command{
		Use:     "doctor [-c FILE]",
		Short:   "Check libtorch, devices, threads, BLAS and data sets",
		Long:    "doctor checks what ulrl needs on this machine; with a config, also what that names.",
		Example: "  ulrl doctor\n  ulrl doctor -c configs/badnets.yaml",
		Args:    noArgs(configByFlag),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDoctor(cmd.Context(), a, o)
		},
	}
	o.register(cmd)
	a.registerJSON(cmd)
	return cmd
}

func runDoctor(ctx context.Context, a *app, o configOptions) error {
	var c *config.Config
	var err error
	if o.Path == "" {
		c, err = a.base(o.layerOptions)
	} else {
		c, err = o.load(a, "doctor")
	}
	if err != nil {
		return err
	}
	found, err := diagnose(ctx, a, c)
	if err != nil {
		return err
	}
	render := func(w io.Writer) { writeDiagnosis(w, a.width, found) }
	if !found.OK {
		return a.showFailed(fmt.Errorf("%d of %d checks failed", failed(found), len(found.Checks)), found, render)
	}
	return a.show(found, render)
}

func failed(d *diagnosis) int {
	n := 0
	for _, c := range d.Checks {
		if !c.OK {
			n++
		}
	}
	return n
}

func diagnose(ctx context.Context, a *app, c *config.Config) (*diagnosis, error) {
	env, progress, err := a.torch()
	if err != nil {
		return &diagnosis{Checks: []check{{Name: "torch library", Value: err.Error(), Advice: "build it: make build"}}}, nil
	}
	defer progress.End()
	return a.engine.doctor(ctx, env, c)
}

func writeDiagnosis(w io.Writer, width int, d *diagnosis) {
	rows := make([][]string, 0, len(d.Checks))
	for _, c := range d.Checks {
		mark := "ok"
		if !c.OK {
			mark = "FAIL"
		}
		rows = append(rows, []string{mark, printable(c.Name), printable(c.Value)})
	}
	table(w, rows)
	var advice []string
	for _, c := range d.Checks {
		if c.Advice != "" {
			advice = append(advice, c.Name+": "+c.Advice)
		}
	}
	list(w, width, "What to do", advice)
}
