package main

import (
	"github.com/spf13/cobra"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
)

const exampleConfig = "configs/badnets.yaml"

// configOptions are the flags that name a config.
type configOptions struct {
	Path string
	Sets []string
}

func (o *configOptions) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.Path, "config", "c", "", "config `FILE`, or a built-in one: badnets.yaml")
	registerSets(cmd, &o.Sets)
	_ = cmd.MarkFlagFilename("config", "yaml", "yml") // fails only for a flag that is not there
}

func registerSets(cmd *cobra.Command, sets *[]string) {
	// Not a slice flag: that would split a value at its commas.
	cmd.Flags().StringArrayVar(sets, "set", nil, "set `KEY=VALUE`, as relearn.lr=0.01 (repeatable)")
	_ = cmd.RegisterFlagCompletionFunc("set", cobra.NoFileCompletions)
}

// load reads the config that the flags name.
func (o *configOptions) load(a *app, command string) (*config.Config, error) {
	if o.Path == "" {
		return nil, fault.Misuse("give a config: ulrl %s -c %s", command, exampleConfig)
	}
	return a.load(o.Path, o.Sets)
}

func (a *app) registerJSON(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.json, "json", false, "print the result, or the error, as one JSON object")
}

// noArgs refuses arguments; hint says what was probably meant.
func noArgs(hint string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return fault.Misuse("%s takes no argument %q%s", cmd.Name(), args[0], hint)
	}
}

// configByFlag is the hint of commands that want their config behind -c.
const configByFlag = "; a config is given by -c FILE"
