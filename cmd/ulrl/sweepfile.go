package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/slurm"
)

// sweepFile is a sweep's settings in a file: the flags of ulrl sweep by their
// names, and the configs.
type sweepFile struct {
	Configs words             `yaml:"configs"`
	Profile string            `yaml:"profile"`
	Seeds   words             `yaml:"seeds"`
	Grid    map[string]words  `yaml:"grid"`
	Set     map[string]string `yaml:"set"`
	Out     string            `yaml:"out"`
	Models  string            `yaml:"models"`
	Workers whole             `yaml:"workers"`
	Threads whole             `yaml:"threads"`
	Memory  string            `yaml:"memory"`
	Devices words             `yaml:"devices"`
	Retries *whole            `yaml:"retries"`

	Executor string          `yaml:"executor"`
	AtOnce   whole           `yaml:"at-once"`
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
		return file, fault.Misuse("sweep file %s: %s", path, plainly(err))
	}
	var more yaml.Node
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return file, fault.Misuse("sweep file %s: a second YAML document begins: wanted one", path)
	}
	return file, nil
}

// whole is a whole number: the YAML reader takes 1.5 for 1.
type whole int

// UnmarshalYAML takes whole numbers alone.
func (w *whole) UnmarshalYAML(n *yaml.Node) error {
	v, err := strconv.Atoi(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: wanted a whole number, not %s", n.Line, cmp.Or(n.Value, "a list or keys"))
	}
	*w = whole(v)
	return nil
}

// words are one value or a list of them.
type words []string

// UnmarshalYAML takes values as they are written.
func (w *words) UnmarshalYAML(n *yaml.Node) error {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	for _, item := range items {
		if item.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: wanted a value or a list of values", item.Line)
		}
		*w = append(*w, item.Value)
	}
	return nil
}

// What the YAML reader says of a key that a Go type lacks, or of a value of another type.
var (
	unknownField = regexp.MustCompile(`field (\S+) not found in type \S+`)
	otherType    = regexp.MustCompile("cannot unmarshal \\S+(?: (`[^`]*`))? into (\\S+)")
)

// plainly is what the YAML reader says, in one line and without Go's types.
func plainly(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "yaml: "), "unmarshal errors: ")
	text = unknownField.ReplaceAllString(text, "unknown key $1; the keys are "+strings.Join(sweepKeys(), ", "))
	return otherType.ReplaceAllStringFunc(text, func(match string) string {
		part := otherType.FindStringSubmatch(match)
		wanted := map[string]string{"int": "a whole number", "string": "text"}[part[2]]
		if wanted == "" {
			wanted = "keys and their values"
		}
		return strings.TrimSpace("wanted " + wanted + ", not " + cmp.Or(part[1], "a list or keys"))
	})
}

// sweepKeys are those of a sweep's file.
func sweepKeys() []string {
	var keys []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[sweepFile]()) {
		keys = append(keys, field.Tag.Get("yaml"))
	}
	return keys
}

// fill takes from a file what the command line does not say.
func (o *sweepOptions) fill(flags *pflag.FlagSet, file sweepFile) {
	unset := func(name string) bool { return !flags.Changed(name) }
	text := func(name string, to *string, value string) {
		if unset(name) && value != "" {
			*to = value
		}
	}
	number := func(name string, to *int, value whole) {
		if unset(name) && value != 0 {
			*to = int(value)
		}
	}
	text("profile", &o.Profile, file.Profile)
	text("seeds", &o.Seeds, strings.Join(file.Seeds, ","))
	text("out", &o.Out, file.Out)
	text("models", &o.Models, file.Models)
	text("memory", &o.Memory, file.Memory)
	number("workers", &o.Workers, file.Workers)
	number("threads", &o.Threads, file.Threads)
	text("executor", &o.Executor, file.Executor)
	number("at-once", &o.AtOnce, file.AtOnce)
	o.Resources = file.Cluster
	for name, said := range map[string]bool{
		"workers": file.Workers != 0, "devices": file.Devices != nil, "at-once": file.AtOnce != 0, "cluster": !reflect.ValueOf(file.Cluster).IsZero(),
	} {
		if said {
			o.InFile = append(o.InFile, name)
		}
	}
	if unset("retries") && file.Retries != nil {
		o.Retries = int(*file.Retries)
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
