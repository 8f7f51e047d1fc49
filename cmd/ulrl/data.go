package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
)

func newDataCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "data",
		Short: "Look at a data set, or fetch one",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fault.Misuse("unknown command %q for %q: wanted info or fetch", args[0], cmd.CommandPath())
			}
			return nil
		},
		RunE: showHelp,
	}
	cmd.AddCommand(newDataInfoCommand(a), newDataFetchCommand(a))
	return cmd
}

type dataInfoOptions struct {
	configOptions
	Kind  string
	Sheet outputFile
}

func newDataInfoCommand(a *app) *cobra.Command {
	var o dataInfoOptions
	cmd := &cobra.Command{
		Use:   "info -c FILE | DIR",
		Short: "Show a data set: classes, sizes, mean and deviation, a sheet of images",
		Long: `info reads the data that a config names, or that lie in a folder, and shows how
many images each class has, their size, the mean and the standard deviation of the
training set as data.mean and data.std want them, and what normalisation applies.`,
		Example: "  ulrl data info -c configs/badnets.yaml --sheet sheet.png\n  ulrl data info data/cifar10\n  ulrl data info mine.npz --kind npy",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || (len(args) == 1) == (o.Path != "") {
				return fault.Misuse("give a config or a folder: ulrl data info -c %s, or ulrl data info data/cifar10", exampleConfig)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDataInfo(cmd.Context(), a, o, strings.Join(args, ""))
		},
	}
	o.register(cmd)
	cmd.Flags().StringVar(&o.Kind, "kind", "", "of the folder: `KIND` as data.kind has it; else by what lies there")
	o.Sheet.register(cmd, "sheet", "", "write a contact sheet, some images of each class, to `FILE`.png")
	_ = cmd.MarkFlagFilename("sheet", "png") // fails only for a flag that is not there
	a.registerJSON(cmd)
	return cmd
}

func runDataInfo(ctx context.Context, a *app, o dataInfoOptions, dir string) error {
	if sheet := o.Sheet.Path; sheet != "" && !strings.EqualFold(filepath.Ext(sheet), ".png") {
		return fault.Misuse("--sheet %s: it is a PNG: end its name with .png", sheet)
	}
	if err := o.Sheet.check(); err != nil {
		return err
	}
	var c *config.Config
	var err error
	switch {
	case dir != "":
		c, err = o.configOf(a, dir)
	case o.Kind != "":
		err = fault.Misuse("--kind is for a folder; a config says it by data.kind")
	default:
		c, err = o.load(a, "data info")
	}
	if err != nil {
		return err
	}
	_, named := o.set("data.name")
	found, err := a.engine.data(ctx, c, dataOptions{Sheet: o.Sheet.Path, ByContent: dir != "" && !named})
	if err != nil {
		return err
	}
	return a.show(found, func(w io.Writer) { writeDataInfo(w, found) })
}

// configOf is the built-in base config with the set in dir as its data.
func (o dataInfoOptions) configOf(a *app, dir string) (*config.Config, error) {
	if o.Kind == "" {
		o.Kind, _ = o.set("data.kind")
	}
	if o.Kind == "" {
		var err error
		if o.Kind, err = dataset.Detect(dir); err != nil {
			return nil, err
		}
	}
	sets := []string{"data.kind=" + o.Kind, "data.dir=" + dir, "data.classes=0"}
	_, noTrain := os.Stat(filepath.Join(dir, dataset.Train))
	if o.Kind == dataset.KindNPY || o.Kind == dataset.KindFolder && noTrain != nil {
		test := config.NoTestSet
		if o.Kind == dataset.KindNPY && dataset.HoldsTest(dir) {
			test = dir
		}
		sets = append(sets, "data.train="+dir, "data.test="+test)
	}
	o.Sets = append(sets, o.Sets...)
	return a.base(o.layerOptions)
}

func writeDataInfo(w io.Writer, in *dataInfo) {
	fmt.Fprintf(w, "%s\n", printable(in.Set))
	rows := [][]string{
		{"images", fmt.Sprintf("%s for training, %s for testing", grouped(int64(in.Train)), orNone(in.Test))},
		{"size", fmt.Sprintf("%d×%d×%d (channels×height×width)", in.Channels, in.Height, in.Width)},
		{"mean", numbers(in.Mean) + "  of the training set, for data.mean"},
		{"std", numbers(in.Std) + "  for data.std"},
	}
	if n := in.Normalisation; n != nil {
		rows = append(rows, []string{"applied", fmt.Sprintf("mean %s, std %s, by %s", numbers(n.Mean), numbers(n.Std), n.From)})
	} else {
		rows = append(rows, []string{"applied", "none is known: set data.mean and data.std as the model was trained with"})
	}
	flip := "no"
	if in.Flip {
		flip = "yes"
	}
	table(w, append(rows, []string{"flip", flip + ", in augmentation"}))
	writeClasses(w, in.Classes)
	if in.Sheet != "" {
		fmt.Fprintf(w, "\nFiles\n  %s  some images of each class\n", printable(in.Sheet))
	}
}

func writeClasses(w io.Writer, classes []classInfo) {
	fmt.Fprintf(w, "\nClasses (%d)\n", len(classes))
	titled := slices.ContainsFunc(classes, func(c classInfo) bool { return c.Title != "" })
	row := func(i, name, title, train, test string) []string {
		cells := []string{i, clip(name, 32), clip(title, 32), fmt.Sprintf("%8s", train), fmt.Sprintf("%8s", test)}
		if !titled {
			cells = slices.Delete(cells, 2, 3)
		}
		return cells
	}
	rows := [][]string{row("", "name", "", "train", "test")}
	for i, c := range classes {
		rows = append(rows, row(fmt.Sprintf("%3d", i), c.Name, c.Title, grouped(int64(c.Train)), grouped(int64(c.Test))))
	}
	table(w, rows)
}

func orNone(n int) string {
	if n == 0 {
		return "none"
	}
	return grouped(int64(n))
}

// numbers is a list as a config has it.
func numbers(list []float64) string {
	parts := make([]string, len(list))
	for i, v := range list {
		parts[i] = fmt.Sprintf("%.4g", v)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
