package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/slurm"
)

// sweepFile is a sweep's settings in a file: the flags of ulrl sweep by their
// names, and the configs.
type sweepFile struct {
	Configs []string            `yaml:"configs"`
	Profile string              `yaml:"profile"`
	Seeds   string              `yaml:"seeds"`
	Grid    map[string][]string `yaml:"grid"`
	Set     map[string]string   `yaml:"set"`
	Out     string              `yaml:"out"`
	Models  string              `yaml:"models"`
	Workers int                 `yaml:"workers"`
	Threads int                 `yaml:"threads"`
	Memory  string              `yaml:"memory"`
	Devices []string            `yaml:"devices"`
	Retries *int                `yaml:"retries"`

	Executor string          `yaml:"executor"`
	AtOnce   int             `yaml:"at-once"`
	Cluster  slurm.Resources `yaml:"cluster"`
}

// readSweepFile reads path; an unknown key is an error.
func readSweepFile(path string) (sweepFile, error) {
	var file sweepFile
	text, err := os.ReadFile(path)
	if err != nil {
		return file, fault.Misuse("sweep file: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return file, fault.Misuse("sweep file %s: %s", path, strings.Join(strings.Fields(err.Error()), " "))
	}
	return file, nil
}

// fill takes from a file what the command line does not say.
func (o *sweepOptions) fill(flags *pflag.FlagSet, file sweepFile) {
	unset := func(name string) bool { return !flags.Changed(name) }
	text := func(name string, to *string, value string) {
		if unset(name) && value != "" {
			*to = value
		}
	}
	number := func(name string, to *int, value int) {
		if unset(name) && value != 0 {
			*to = value
		}
	}
	text("profile", &o.Profile, file.Profile)
	text("seeds", &o.Seeds, file.Seeds)
	text("out", &o.Out, file.Out)
	text("models", &o.Models, file.Models)
	text("memory", &o.Memory, file.Memory)
	number("workers", &o.Workers, file.Workers)
	number("threads", &o.Threads, file.Threads)
	text("executor", &o.Executor, file.Executor)
	number("at-once", &o.AtOnce, file.AtOnce)
	o.Resources = file.Cluster
	if unset("retries") && file.Retries != nil {
		o.Retries = *file.Retries
	}
	if unset("devices") && file.Devices != nil {
		o.Devices = file.Devices
	}
	if unset("grid") {
		for _, key := range sorted(file.Grid) {
			o.Grid = append(o.Grid, key+"="+strings.Join(file.Grid[key], ","))
		}
	}
	// The command line's sets come after these, and win.
	var sets []string
	for _, key := range sorted(file.Set) {
		sets = append(sets, key+"="+file.Set[key])
	}
	o.Sets = append(sets, o.Sets...)
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
