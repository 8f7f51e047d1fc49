package main

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/slurm"
	"ulrl/pipeline/sweep"
)

// sweepOptions are the flags of ulrl sweep.
type sweepOptions struct {
	layerOptions
	File    string
	Seeds   string
	Grid    []string
	Out     string
	Models  string
	DryRun  bool
	Workers int
	Threads int
	Memory  string
	Devices []string
	Retries int

	Executor string
	Cluster  []string
	AtOnce   int
	Wait     bool
	// Resources is what the sweep file's section cluster says.
	Resources slurm.Resources
	// InFile are the flags that the sweep's file says.
	InFile []string
}

// check refuses what cannot be meant, be it from flags or a sweep's file.
func (o sweepOptions) check(flags *pflag.FlagSet) error {
	if err := o.checkNumbers(); err != nil {
		return err
	}
	if err := o.checkDevices(); err != nil {
		return err
	}
	return o.checkExecutor(flags)
}

// checkNumbers refuses those below 0.
func (o sweepOptions) checkNumbers() error {
	for name, n := range map[string]int{"workers": o.Workers, "threads": o.Threads, "at-once": o.AtOnce, "retries": o.Retries} {
		if n < 0 {
			return fault.Misuse("%s is %d, wanted at least 0", name, n)
		}
	}
	return nil
}

// checkExecutor refuses flags that the other executor has a use for.
func (o sweepOptions) checkExecutor(flags *pflag.FlagSet) error {
	others := map[string][]string{executorLocal: {"cluster", "at-once", "wait"}, executorSlurm: {"workers", "devices"}}
	if others[o.Executor] == nil {
		return fault.Misuse("--executor %s: wanted local or slurm", o.Executor)
	}
	if o.Executor == executorSlurm && flags.Changed("trust-model") {
		return fault.Misuse("--trust-model does not reach Slurm's jobs: set " + envTrust + "=1 in the environment that they get")
	}
	for executor, names := range others {
		for _, name := range names {
			switch {
			case o.Executor == executor && flags.Changed(name):
				return fault.Misuse("--%s means nothing to --executor %s", name, executor)
			case o.Executor == executor && slices.Contains(o.InFile, name):
				return fault.Misuse("sweep file %s: %s means nothing to executor %s; executor: %s in it, or --executor, chooses the other", o.File, name, executor, otherExecutor(executor))
			}
		}
	}
	return nil
}

func otherExecutor(executor string) string {
	if executor == executorLocal {
		return executorSlurm
	}
	return executorLocal
}

// spec is what the flags ask for.
func (o sweepOptions) spec(configs []string) (sweep.Spec, error) {
	spec := sweep.Spec{Profile: o.Profile, Sets: o.Sets, Models: o.Models}
	for _, path := range configs {
		if isBase(path) {
			continue // configs/*.yaml names it too
		}
		spec.Configs = append(spec.Configs, path)
	}
	for _, text := range o.Grid {
		axis, err := sweep.ParseAxis(text)
		if err != nil {
			return spec, err
		}
		spec.Grid = append(spec.Grid, axis)
	}
	if err := o.checkSettings(spec.Grid); err != nil {
		return spec, err
	}
	var err error
	spec.Seeds, err = parseSeeds(o.Seeds)
	return spec, err
}

// isBase tells whether a file is the base of all configs, which names no model and no attack.
func isBase(path string) bool {
	if filepath.Base(path) != "base.yaml" {
		return false
	}
	if _, err := os.Stat(path); err != nil {
		return true // the built-in one
	}
	c, err := config.Load(path, config.Options{})
	return err == nil && c.Model.Path == "" && !c.Attack.Makes()
}

// eachJobs are the settings that a sweep chooses for each job.
var eachJobs = []string{"name", "output", "attack.output"}

// checkSettings refuses keys that would say one thing twice, and those by which a sweep tells
// its jobs apart.
func (o sweepOptions) checkSettings(grid []sweep.Axis) error {
	for _, key := range eachJobs {
		if _, is := o.set(key); is {
			return fault.Misuse("--set %s: a sweep gives each job its own", key)
		}
	}
	for i, axis := range grid {
		same := func(other sweep.Axis) bool { return other.Key == axis.Key }
		_, set := o.set(axis.Key)
		switch {
		case slices.ContainsFunc(grid[:i], same):
			return fault.Misuse("--grid %s is there twice: write all its values in one", axis.Key)
		case set:
			return fault.Misuse("--grid and --set both say %s: leave one of them out", axis.Key)
		case axis.Key == "seed":
			return fault.Misuse("--grid seed: --seeds is for that")
		case slices.Contains(eachJobs, axis.Key):
			return fault.Misuse("--grid %s: a sweep gives each job its own", axis.Key)
		}
	}
	return nil
}

// checkDevices refuses names of none.
func (o sweepOptions) checkDevices() error {
	for _, name := range o.Devices {
		if !config.IsDevice(name) {
			return fault.Misuse("--devices %s: wanted cpu, cuda or cuda:N", name)
		}
	}
	return nil
}

// leastMemory is the memory, in bytes, below which no process of a sweep can begin.
const leastMemory = 100e6

// parseSeeds reads 0,1,2 and 0-9.
func parseSeeds(text string) ([]uint64, error) {
	if text == "" {
		return nil, nil
	}
	var seeds []uint64
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 64)
		to, err2 := strconv.ParseUint(last, 10, 64)
		if err != nil || err2 != nil || to < from || to-from >= 1e6 {
			return nil, fault.Misuse("--seeds %s: wanted whole numbers such as 0,1,2 or 0-9", text)
		}
		for seed := from; ; seed++ {
			if !slices.Contains(seeds, seed) {
				seeds = append(seeds, seed)
			}
			if seed == to {
				break
			}
		}
	}
	return seeds, nil
}

// memory is that of each process, in bytes; 0: no limit.
func (o sweepOptions) memory() (int64, error) {
	bytes, err := parseBytes(o.Memory)
	if err == nil && bytes > 0 && bytes < leastMemory {
		err = fault.Misuse("--memory %s is less than a process takes that does nothing yet: wanted an amount such as 2G", o.Memory)
	}
	return bytes, err
}

// parseBytes reads --memory: 1500M, 2G, 2.5GB or a number of bytes.
func parseBytes(text string) (int64, error) {
	number := strings.TrimSuffix(strings.ToUpper(text), "B")
	unit := 1.0
	for suffix, factor := range map[string]float64{"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} {
		if trimmed, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = trimmed, factor
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(v) || v < 0 || v*unit > 1e18 {
		return 0, fault.Misuse("--memory %s: wanted an amount such as 2G", text)
	}
	return int64(v * unit), nil
}
