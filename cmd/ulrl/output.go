package main

import (
	"os"

	"github.com/spf13/cobra"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/runstore"
)

// outputFile is a file of the user's choice that a command writes.
type outputFile struct {
	flag  string
	Path  string
	Force bool
}

// register adds the flag, with a shorthand or "", and --force.
func (o *outputFile) register(cmd *cobra.Command, flag, short, usage string) {
	o.flag = flag
	cmd.Flags().StringVarP(&o.Path, flag, short, "", usage)
	cmd.Flags().BoolVar(&o.Force, "force", false, "replace the file that --"+flag+" names")
}

// check refuses what is there already, before the work begins: it may be what the command
// reads.
func (o *outputFile) check() error {
	if o.Path == "" {
		return nil
	}
	info, err := os.Stat(o.Path)
	switch {
	case err == nil && info.IsDir():
		return fault.Misuse("--%s %s is a folder: name a file", o.flag, o.Path)
	case err == nil && !info.Mode().IsRegular():
		return fault.Misuse("--%s %s is not a regular file: name another", o.flag, o.Path)
	case err == nil && !o.Force:
		return fault.Misuse("--%s %s is there already: name another file, or replace it by --force", o.flag, o.Path)
	}
	return runstore.CheckWritable(o.Path)
}
