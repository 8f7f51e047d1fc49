package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
)

const exampleConfig = "configs/badnets.yaml"

// layerOptions are the flags that lay something over a config.
type layerOptions struct {
	Profile string
	Sets    []string
}

func (o *layerOptions) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.Profile, "profile", "", "on top: `FILE`, "+strings.Join(config.Profiles(), ", "))
	// Not a slice flag: that would split a value at its commas.
	cmd.Flags().StringArrayVar(&o.Sets, "set", nil, "set `KEY=VALUE`, as relearn.lr=0.01 (repeatable)")
	// These fail only for a flag that is not there.
	_ = cmd.RegisterFlagCompletionFunc("profile", cobra.FixedCompletions(config.Profiles(), cobra.ShellCompDirectiveDefault))
	_ = cmd.RegisterFlagCompletionFunc("set", cobra.NoFileCompletions)
}

// set is what the last --set of a key says, if there is one.
func (o *layerOptions) set(key string) (value string, is bool) {
	for _, set := range slices.Backward(o.Sets) {
		if name, value, _ := strings.Cut(set, "="); strings.TrimSpace(name) == key {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// configOptions are the flags that name a config.
type configOptions struct {
	Path string
	layerOptions
}

func (o *configOptions) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.Path, "config", "c", "", "config `FILE`, or a built-in one: badnets.yaml")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml") // fails only for a flag that is not there
	o.layerOptions.register(cmd)
}

// load reads the config that the flags name.
func (o *configOptions) load(a *app, command string) (*config.Config, error) {
	if o.Path == "" {
		return nil, fault.Misuse("give a config: ulrl %s -c %s", command, exampleConfig)
	}
	return a.load(o.Path, o.layerOptions)
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
