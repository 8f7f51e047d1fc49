package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ulrl/pipeline"
	"ulrl/pipeline/fault"
)

type inspectOptions struct {
	Classes int
	Input   []int
}

func newInspectCommand(a *app) *cobra.Command {
	var o inspectOptions
	cmd := &cobra.Command{
		Use:   "inspect MODEL",
		Short: "Show a model: layers, the head, what its code does",
		Long: `inspect shows the layers of a TorchScript file, which of them is the classifier
head that "ulrl run" would score, whether train mode has an effect, and the
operators that the code uses, whether it reaches them or not.

A TorchScript file is a program of whoever made it. One whose form or operators
are not a classifier's is refused; "ulrl scan" does that alone.`,
		Example: "  ulrl inspect models/badnets/backdoored.pt\n  ulrl inspect mine.pt --input 3,32,32 --classes 10",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fault.Misuse("give a model: ulrl inspect models/badnets/backdoored.pt")
			}
			return atMostOneModel(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInspect(cmd.Context(), a, o, args[0])
		},
		ValidArgsFunction: completeModel,
	}
	cmd.Flags().IntSliceVar(&o.Input, "input", nil, "image `SHAPE`: channels,height,width")
	cmd.Flags().IntVar(&o.Classes, "classes", 0, "`NUMBER` of classes, which tells the head")
	a.registerConfinement(cmd)
	a.registerJSON(cmd)
	return cmd
}

func (o inspectOptions) check() error {
	bad := func(n int) bool { return n < 1 || n > 1<<16 }
	if o.Input != nil && (len(o.Input) != 3 || slices.ContainsFunc(o.Input, bad)) {
		return fault.Misuse("--input %s: wanted channels,height,width, such as 3,32,32", strings.Trim(strings.ReplaceAll(fmt.Sprint(o.Input), " ", ","), "[]"))
	}
	if o.Classes < 0 {
		return fault.Misuse("--classes %d: wanted a number of classes", o.Classes)
	}
	return nil
}

func runInspect(ctx context.Context, a *app, o inspectOptions, path string) error {
	if err := o.check(); err != nil {
		return err
	}
	engine, env, progress, err := a.job()
	if err != nil {
		return err
	}
	defer progress.End()
	found, err := engine.inspect(ctx, path, env, o)
	if err != nil {
		return err
	}
	progress.End()
	return a.show(found, func(w io.Writer) { writeInspection(w, a.width, found) })
}

func writeInspection(w io.Writer, width int, in *inspection) {
	fmt.Fprintf(w, "%s\n", printable(in.Path))
	table(w, [][]string{
		{"SHA-256", in.SHA256},
		{"gate", gateText(in.Gate)},
		{"size", fmt.Sprintf("%s, %s parameters", size(int64(in.Bytes)), grouped(in.Parameters))},
		{"input", orUnknown(in.Input)},
		{"head", headText(in)},
	})
	if in.TrainEval != "" {
		paragraph(w, width, "  train    ", in.TrainEval)
	}
	writeLayers(w, in.Layers)
	if len(in.Operators) > 0 {
		fmt.Fprintf(w, "\nOperators (%d)\n", len(in.Operators))
		paragraph(w, width, "  ", strings.Join(in.Operators, " "))
	}
	list(w, width, "Warnings", in.Warnings)
}

func orUnknown(s string) string {
	if s == "" {
		return unknown
	}
	return printable(s)
}

func gateText(v pipeline.Verdict) string {
	text := fmt.Sprintf("passed, %s records", grouped(int64(v.Records)))
	if n := len(v.Dropped); n > 0 {
		text += fmt.Sprintf("; %s left out, which loading does not need", grouped(int64(n)))
	}
	return text
}

func headText(in *inspection) string {
	switch {
	case in.Head == "" && in.Classes > 0:
		return fmt.Sprintf("not found: no linear layer has %s outputs", grouped(int64(in.Classes)))
	case in.Head == "":
		return "not found; say how many classes there are: --classes 10"
	}
	return fmt.Sprintf("%s, %s classes", clip(in.Head, 40), grouped(int64(in.Classes)))
}

func writeLayers(w io.Writer, layers []layerInfo) {
	if len(layers) == 0 {
		return
	}
	fmt.Fprintf(w, "\nLayers (%d)\n", len(layers))
	rows := [][]string{{"name", "class", "shape", " parameters"}}
	for _, l := range layers {
		scored := ""
		if l.Scored {
			scored = "scored"
		}
		shape := strings.Trim(strings.ReplaceAll(fmt.Sprint(l.Shape), " ", "×"), "[]")
		rows = append(rows, []string{clip(l.Name, 32), clip(l.Class, 20), shape, fmt.Sprintf("%11s", grouped(l.Parameters)), scored})
	}
	table(w, rows)
}
