package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ulrl/pipeline/fault"
)

func newEvalCommand(a *app) *cobra.Command {
	var o configOptions
	cmd := &cobra.Command{
		Use:   "eval [MODEL] -c FILE",
		Short: "Measure a model: accuracy, attack success, robust accuracy",
		Long: `eval measures MODEL, a TorchScript file, on the data and with the trigger that
the config names; without MODEL, the model that the config names.`,
		Example: "  ulrl eval -c configs/badnets.yaml\n  ulrl eval runs/badnets/cleaned.pt -c configs/badnets.yaml",
		Args:    atMostOneModel,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEval(cmd.Context(), a, o, args)
		},
		ValidArgsFunction: completeModel,
	}
	o.register(cmd)
	a.registerConfinement(cmd)
	a.registerJSON(cmd)
	return cmd
}

func atMostOneModel(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fault.Misuse("%s takes one model, got %d", cmd.Name(), len(args))
	}
	return nil
}

func completeModel(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"pt", "pth", "ts"}, cobra.ShellCompDirectiveFilterFileExt
}

func runEval(ctx context.Context, a *app, o configOptions, args []string) error {
	c, err := o.load(a, "eval")
	if err != nil {
		return err
	}
	model := "" // the config's
	if len(args) > 0 {
		if model = args[0]; model == "" {
			return fault.Misuse("eval: the model's name is empty")
		}
	}
	engine, env, progress, err := a.job()
	if err != nil {
		return err
	}
	defer progress.End()
	result, err := engine.eval(ctx, c, env, model)
	if err != nil {
		return err
	}
	progress.End()
	return a.show(result, func(w io.Writer) {
		fmt.Fprintf(w, "%s: measured in %s\n\n", printable(result.Model), seconds(result.Seconds))
		writeScores(w, a.width, result.Scores)
	})
}
