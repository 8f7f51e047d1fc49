package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/report"
	"ulrl/pipeline/runstore"
	"ulrl/pipeline/sweep"
)

type reportOptions struct {
	Format string
	Output outputFile
}

func newReportCommand(a *app) *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report FOLDER",
		Short: "Write the report of a sweep or of a run",
		Long: `report gathers what the runs of a sweep found into one page, which needs no
network, or into a table; of a single run it writes its page anew.`,
		Example: "  ulrl report runs/sweep\n  ulrl report runs/sweep --format csv -o numbers.csv",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fault.Misuse("give one folder of a sweep or a run: ulrl report runs/sweep")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return writeReport(cmd.Context(), a, o, args[0]) },
	}
	cmd.Flags().StringVar(&o.Format, "format", "html", "`FORMAT`: html, md, csv, json")
	o.Output.register(cmd, "output", "o", "`FILE`; else html into the folder, the others to standard output")
	_ = cmd.RegisterFlagCompletionFunc("format", oneOf("html", "md", "csv", "json"))
	return cmd
}

func writeReport(ctx context.Context, a *app, o reportOptions, dir string) error {
	if err := o.Output.check(); err != nil {
		return err
	}
	write, err := reportWriter(ctx, o.Format, dir)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := write(&out); err != nil {
		return err
	}
	path := o.Output.Path
	if path == "" && o.Format == "html" {
		path = filepath.Join(dir, runstore.FileReport)
	}
	if path == "" {
		_, err := a.stdout.Write(out.Bytes())
		return err
	}
	if err := runstore.WriteFileAtomic(path, out.Bytes(), 0o644); err != nil {
		return err
	}
	a.log.Infof("wrote %s", path)
	return nil
}

// reportWriter is what writes the report of dir, a sweep's or else a run's.
func reportWriter(ctx context.Context, format, dir string) (func(io.Writer) error, error) {
	formats := map[string]func(io.Writer, report.Sweep) error{
		"html": report.SweepHTML, "md": report.SweepMarkdown, "csv": report.SweepCSV, "json": report.SweepJSON,
	}
	write := formats[format]
	if write == nil {
		return nil, fault.Misuse("--format %s: wanted html, md, csv or json", format)
	}
	if _, err := os.Stat(filepath.Join(dir, sweep.FilePlan)); err == nil {
		store, plan, err := sweep.ReadStore(dir)
		if err != nil {
			return nil, err
		}
		found, err := store.Collect(ctx, plan)
		return func(w io.Writer) error { return write(w, found) }, err
	}
	result, err := runstore.ReadResult(dir)
	if err != nil {
		return nil, err
	}
	epochs, err := runstore.ReadEpochs(dir)
	if err != nil {
		return nil, err
	}
	if format == "html" {
		return func(w io.Writer) error { return report.HTML(w, result, epochs) }, nil
	}
	run := report.SweepRun{ID: result.Name, Name: result.Name, Seed: result.Seed, Status: result.Status, Error: result.Error, Result: result}
	return func(w io.Writer) error {
		return write(w, report.Sweep{Folder: filepath.Base(dir), Runs: []report.SweepRun{run}})
	}, nil
}
