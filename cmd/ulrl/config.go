package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ulrl/pipeline"
	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
)

func newConfigCommand(a *app) *cobra.Command {
	var o layerOptions
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check configs, or show what one comes to",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fault.Misuse("unknown command %q for %q: wanted check or show", args[0], cmd.CommandPath())
			}
			return nil
		},
		RunE: showHelp,
	}
	cmd.AddCommand(newConfigCheckCommand(a, &o), newConfigShowCommand(a, &o))
	return cmd
}

func newConfigCheckCommand(a *app, o *layerOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "check FILE...",
		Short:   "Check configs and name everything that is wrong",
		Example: "  ulrl config check configs/*.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fault.Misuse("give a config: ulrl config check %s", exampleConfig)
			}
			return nil
		},
		RunE:              func(_ *cobra.Command, args []string) error { return runConfigCheck(a, *o, args) },
		ValidArgsFunction: cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt),
	}
	o.register(cmd)
	a.registerJSON(cmd)
	return cmd
}

// checked is what "config check" found in one file.
type checked struct {
	Path     string   `json:"path"`
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"`
}

func runConfigCheck(a *app, o layerOptions, paths []string) error {
	files, bad := []checked{}, 0
	for _, path := range paths {
		c, err := a.load(path, o)
		if err == nil {
			err = pipeline.CheckNetwork(c)
		}
		file := checked{Path: path, OK: err == nil, Problems: config.Problems(err)}
		if err != nil {
			bad++
			if file.Problems == nil {
				file.Problems = []string{err.Error()}
			}
		}
		files = append(files, file)
	}
	found := map[string]any{"files": files}
	render := func(w io.Writer) { writeChecked(w, files) }
	switch {
	case bad == 0:
		return a.show(found, render)
	case len(files) == 1:
		return a.showFailed(fault.Misuse("%s is no valid config", files[0].Path), found, render)
	default:
		return a.showFailed(fault.Misuse("%d of %d configs are not valid", bad, len(files)), found, render)
	}
}

func writeChecked(w io.Writer, files []checked) {
	for _, file := range files {
		if file.OK {
			fmt.Fprintf(w, "%s: ok\n", printable(file.Path))
		}
		for _, problem := range file.Problems {
			fmt.Fprintln(w, printable(problem))
		}
	}
}

func newConfigShowCommand(a *app, o *layerOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Show a config with every key, and where each value comes from",
		Example: `  ulrl config show configs/badnets.yaml
  ulrl config show badnets.yaml --set relearn.lr=0.01 > mine.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fault.Misuse("give one config: ulrl config show %s", exampleConfig)
			}
			return nil
		},
		RunE:              func(_ *cobra.Command, args []string) error { return runConfigShow(a, *o, args[0]) },
		ValidArgsFunction: cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt),
	}
	o.register(cmd)
	return cmd
}

func runConfigShow(a *app, o layerOptions, path string) error {
	c, err := a.load(path, o)
	if err != nil {
		return err
	}
	text, err := c.YAMLWithOrigins()
	if err != nil {
		return err
	}
	if _, err := a.stdout.Write(text); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}
