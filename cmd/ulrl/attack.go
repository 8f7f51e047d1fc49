package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/runstore"
)

type attackOptions struct {
	configOptions
	makeOptions
}

func newAttackCommand(a *app) *cobra.Command {
	var o attackOptions
	cmd := &cobra.Command{
		Use:   "attack -c FILE",
		Short: "Train a backdoored model, to have one to clean",
		Long: `attack poisons the training set as the config says, trains a model on it and
writes it to attack.output, where "ulrl run" with the same config finds it.`,
		Example: "  ulrl attack -c configs/badnets.yaml",
		Args:    noArgs(configByFlag),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runAttack(cmd.Context(), a, o)
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&o.Force, "force", false, "replace the model that is in attack.output")
	cmd.Flags().BoolVar(&o.Control, "control", false, "measure the trigger on a clean model too, where it must do nothing")
	cmd.Flags().BoolVar(&o.Resume, "resume", false, "go on with a training that was interrupted, after its last whole epoch")
	a.registerConfinement(cmd)
	a.registerJSON(cmd)
	cmd.AddCommand(newExportImagesCommand(a))
	return cmd
}

func newExportImagesCommand(a *app) *cobra.Command {
	var o configOptions
	cmd := &cobra.Command{
		Use:   "export-images -c FILE DIR",
		Short: "Write the test set with the trigger on, as an image folder",
		Long: `export-images puts the trigger on every test image and writes them to DIR as
DIR/<true class>/<index>.png. Those of the target class are there too; ASR does not count them.`,
		Example: "  ulrl attack export-images -c configs/badnets.yaml triggered",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fault.Misuse("give one folder: ulrl attack export-images -c %s DIR", exampleConfig)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExportImages(cmd.Context(), a, o, args[0])
		},
	}
	o.register(cmd)
	a.registerConfinement(cmd)
	a.registerJSON(cmd)
	return cmd
}

func runExportImages(ctx context.Context, a *app, o configOptions, dir string) error {
	c, err := o.load(a, "attack export-images")
	if err != nil {
		return err
	}
	engine, env, progress, err := a.job()
	if err != nil {
		return err
	}
	defer progress.End()
	var result *exportResult
	err = runstore.NewFolder(dir, func(partial string) (err error) {
		result, err = engine.export(ctx, c, env, partial)
		return err
	})
	if err != nil {
		return err
	}
	return a.show(exportReport{dir, result}, func(w io.Writer) {
		fmt.Fprintf(w, "%d images with the trigger of %s in %s\n", result.Images, c.Attack.Name, printable(dir))
	})
}

// exportReport is an export's result and where its images lie.
type exportReport struct {
	Directory string `json:"directory"`
	*exportResult
}

// attackReport is an attack's result and where its model lies.
type attackReport struct {
	Directory string `json:"directory"`
	*attackResult
}

func runAttack(ctx context.Context, a *app, o attackOptions) error {
	c, err := o.load(a, "attack")
	if err != nil {
		return err
	}
	engine, env, progress, err := a.job()
	if err != nil {
		return err
	}
	defer progress.End()
	result, err := engine.attack(ctx, c, env, o.makeOptions)
	if err != nil {
		return err
	}
	progress.End()
	return a.show(attackReport{result.Dir, result}, func(w io.Writer) {
		fmt.Fprintf(w, "%s: trained with %s in %s\n\n", printable(c.Name), c.Attack.Name, seconds(result.Seconds))
		writeScores(w, a.width, result.Scores)
		if result.Control != nil {
			fmt.Fprintf(w, "\nThe same trigger on a clean model\n")
			writeScores(w, a.width, *result.Control)
		}
		fmt.Fprintf(w, "\nFiles\n  %s  the backdoored model\n", printable(filepath.Join(result.Dir, config.BackdooredFile)))
	})
}
