package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"ulrl/pipeline"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/runstore"
)

func newImportCommand(a *app) *cobra.Command {
	return newGroup("import", "Bring models of other tools into a folder for ulrl run", newImportBackdoorBenchCommand(a))
}

func newImportBackdoorBenchCommand(a *app) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "backdoorbench RECORD_DIR",
		Short: "A record of BackdoorBench: its model, its triggered test images, a config",
		Long: `import backdoorbench reads attack_result.pt and the images beside it, runs nothing of
them, and writes a folder with the model as TorchScript, the triggered test images
and a config.yaml for "ulrl run". The clean data set must be there already.`,
		Example: `  ulrl import backdoorbench record/badnet_0_1 --data data/cifar10
  ulrl run -c models/badnet_0_1/config.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fault.Misuse("give one record's folder: ulrl import backdoorbench record/badnet_0_1")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runImport(cmd.Context(), a, o, args[0]) },
	}
	cmd.Flags().StringVar(&o.Dir, "out", "", "`FOLDER` to make; else models/ and the record's name")
	cmd.Flags().StringVar(&o.Data, "data", "", "`FOLDER` of the clean data set; else data/ and its name")
	_ = cmd.MarkFlagDirname("out") // these fail only for a flag that is not there
	_ = cmd.MarkFlagDirname("data")
	a.registerConfinement(cmd)
	a.registerJSON(cmd)
	return cmd
}

func runImport(ctx context.Context, a *app, o importOptions, record string) error {
	engine, env, progress, err := a.job()
	if err != nil {
		return err
	}
	defer progress.End()
	dir := pipeline.ImportFolder(record, o)
	if _, err := os.Stat(dir); err == nil {
		return fault.Misuse("%s is there already: choose another folder with --out, or remove it", dir)
	}
	var result *importResult
	err = runstore.NewFolder(dir, func(partial string) (err error) {
		result, err = engine.imports(ctx, env, record, o, partial)
		return err
	})
	if err != nil {
		return err
	}
	return a.show(result, func(w io.Writer) {
		fmt.Fprintf(w, "%s, %d classes of %s, %s triggered test images\n\nFiles\n  %s  what was found; clean it with: ulrl run -c %s\n",
			printable(result.Network), result.Classes, printable(result.DataSet), grouped(int64(result.Triggered)),
			printable(dir), printable(filepath.Join(dir, pipeline.FileImportConfig)))
	})
}

func newExportCommand(a *app) *cobra.Command {
	return newGroup("export", "Write a cleaned model for other tools", newExportBackdoorBenchCommand(a))
}

func newExportBackdoorBenchCommand(a *app) *cobra.Command {
	var record string
	var output outputFile
	cmd := &cobra.Command{
		Use:     "backdoorbench MODEL --record RECORD_DIR",
		Short:   "A cleaned model as the defense_result.pt that BackdoorBench's tools read",
		Example: `  ulrl export backdoorbench runs/badnet_0_1/cleaned.pt --record record/badnet_0_1`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || record == "" {
				return fault.Misuse("give a model and the record that it was imported from: ulrl export backdoorbench runs/x/cleaned.pt --record record/x")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExportBackdoorBench(cmd.Context(), a, args[0], record, output)
		},
		ValidArgsFunction: completeModel,
	}
	cmd.Flags().StringVar(&record, "record", "", "`FOLDER` of the record that the model was imported from")
	output.register(cmd, "output", "o", "`FILE`; else defense/ulrl/defense_result.pt in the record")
	_ = cmd.MarkFlagDirname("record") // fails only for a flag that is not there
	a.registerConfinement(cmd)
	a.registerJSON(cmd)
	return cmd
}

func runExportBackdoorBench(ctx context.Context, a *app, model, record string, output outputFile) error {
	if err := output.check(); err != nil {
		return err
	}
	engine, env, progress, err := a.job()
	if err != nil {
		return err
	}
	defer progress.End()
	text, err := engine.defense(ctx, env, model, record)
	if err != nil {
		return err
	}
	path := output.Path
	if path == "" {
		path = pipeline.DefenseFile(record)
	}
	if err := pipeline.WriteDefense(path, text); err != nil {
		return err
	}
	return a.show(map[string]string{"file": path}, func(w io.Writer) { fmt.Fprintf(w, "wrote %s\n", printable(path)) })
}

// newGroup is a command that only has others below it.
func newGroup(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		RunE:  showHelp,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fault.Misuse("%s has no %q; %s --help lists what it has", cmd.CommandPath(), args[0], cmd.CommandPath())
			}
			return nil
		},
	}
	cmd.AddCommand(below...)
	return cmd
}
