package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// Options are the layers above the config file.
type Options struct {
	// Profile is a config file of the data and the scale of the work, or the name
	// of a built-in one such as cifar10-small; it lies directly above the config
	// file. Several have commas between them, the highest last. "": none.
	Profile string
	// Sets are key=value overrides, as --set gives them. Text stands for itself
	// where a string is wanted; a list is written a,b or [a,b].
	Sets []string
	// Env is the environment, as os.Environ gives it; only ULRL_* is read, in the
	// same notation as Sets. Unknown ULRL_ names are errors.
	Env []string
	// ReservedEnv names further ULRL_ variables that are no config keys.
	ReservedEnv []string
}

// Load reads the config file at path with all its layers. A bare name of which
// there is no file is a built-in config's, so that an installed binary needs no
// configs beside it. The error is misuse and one line; Problems has the lines of
// all that is wrong.
func Load(path string, opt Options) (*Config, error) { return Open(path, opt).Load() }

// Default is the built-in base with the layers of opt above it; errors are as
// Load's.
func Default(opt Options) (*Config, error) {
	return open(source{path: baseName, builtin: true}, opt).Load()
}

// Parse reads a config that lies in no file, such as YAML gives; name is how
// messages call it.
func Parse(name, text string) (*Config, error) {
	return open(source{path: name, text: text + "\n"}, Options{}).Load()
}

// Layers are a config and what lies above it, read but not yet laid over each
// other: to load one with many different sets, its files need be read but once.
type Layers struct {
	root   *field
	layers []*layer
	found  problems
	sets   []string
}

// Open reads the config at path and its layers as Load does, which tells what is
// wrong with them.
func Open(path string, opt Options) *Layers {
	if path == "" {
		return &Layers{found: problems{"no config file is named; built in are " + strings.Join(Builtins(), ", ")}}
	}
	top, _ := locate(path, path) // what is not there is told when it is read
	return open(top, opt)
}

func open(top source, opt Options) *Layers {
	l := &Layers{root: schema(), sets: opt.Sets}
	base := source{path: baseName, builtin: true}
	l.add(chain(l.root, base))
	if top != base {
		l.add(chain(l.root, top))
	}
	if opt.Profile != "" {
		for name := range strings.SplitSeq(opt.Profile, ",") {
			l.add(profileChain(l.root, name))
		}
	}
	env, found := envLayer(l.root, opt.Env, append(reservedEnv(), opt.ReservedEnv...))
	l.add([]*layer{env}, found)
	return l
}

func (l *Layers) add(layers []*layer, found problems) {
	l.layers, l.found = append(l.layers, layers...), append(l.found, found...)
}

// Load lays the layers over each other; errors are as those of the function Load.
func (l *Layers) Load() (*Config, error) { return l.With("", nil) }

// With is Load with key=value overrides on top of the options' own; origin is what messages
// call these, such as --grid.
func (l *Layers) With(origin string, sets []string) (*Config, error) {
	if l.root == nil {
		return nil, l.found.err()
	}
	top, found := newLayer(), slices.Clone(l.found)
	found = append(found, top.override(l.root, "--set", l.sets)...)
	found = append(found, top.override(l.root, origin, sets)...)
	c, err := merge(append(slices.Clone(l.layers), top)) // of what could be read
	if err != nil {
		return nil, err
	}
	c.expandPaths()
	if err := check(l.root, c, found).err(); err != nil {
		return nil, err
	}
	return c, nil
}

// merge lays the layers over each other. Values are typed already, so an error
// here is a fault of this package or of the built-in base, not of the user.
func merge(layers []*layer) (*Config, error) {
	v, origins := viper.New(), map[string]string{}
	for _, l := range layers {
		values := copied(l.values)
		maps.Copy(origins, l.origins)
		if of, other := l.cleanBy(); other != "" {
			values["clean"].(map[string]any)[other] = 0
			origins["clean."+other] = l.origins["clean."+of]
		}
		if err := v.MergeConfigMap(values); err != nil {
			return nil, fmt.Errorf("merge the layers of the config: %w", err)
		}
	}
	c := &Config{}
	err := v.Unmarshal(c, func(d *mapstructure.DecoderConfig) {
		d.ErrorUnused, d.ErrorUnset, d.IgnoreUntaggedFields = true, true, true
		d.WeaklyTypedInput, d.DecodeHook = false, nil
	})
	if err != nil {
		return nil, fmt.Errorf("decode the config: %w", err)
	}
	c.origins = origins
	return c, nil
}

// cleanBy is which of clean.count and clean.ratio a layer sets above 0 where it leaves the
// other to the layers below, whose value it does not mean: "" where it is not so.
func (l *layer) cleanBy() (of, other string) {
	clean, _ := l.values["clean"].(map[string]any)
	count, byCount := clean["count"]
	ratio, byRatio := clean["ratio"]
	switch {
	case byCount && !byRatio && count != 0:
		return "count", "ratio"
	case byRatio && !byCount && ratio != 0.0:
		return "ratio", "count"
	}
	return "", ""
}

// copied is a copy of nested maps: viper keeps and changes those that it is given.
func copied(values map[string]any) map[string]any {
	out := make(map[string]any, len(values))
	for key, v := range values {
		if section, ok := v.(map[string]any); ok {
			v = copied(section)
		}
		out[key] = v
	}
	return out
}

// Origin names the layer that set a key such as "relearn.lr": a file and line, an
// environment variable, "--set", or what With was told. It is "" for what is no key.
func (c *Config) Origin(key string) string { return c.origins[key] }
