package config

import (
	"fmt"
	"maps"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// Options are the layers above the config file.
type Options struct {
	// Profile is a config file of the data and the scale of the work, or the name
	// of a built-in one such as cifar10-small; it lies directly above the config
	// file. "": none.
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
func Load(path string, opt Options) (*Config, error) {
	if path == "" {
		return nil, problems{"no config file is named; built in are " + strings.Join(Builtins(), ", ")}.err()
	}
	top, _ := locate(path, path) // what is not there is told when it is read
	return load(top, opt)
}

// Default is the built-in base with the layers of opt above it; errors are as
// Load's.
func Default(opt Options) (*Config, error) {
	return load(source{path: baseName, builtin: true}, opt)
}

func load(top source, opt Options) (*Config, error) {
	root := schema()
	layers, found := collect(root, top, opt)
	if err := found.err(); err != nil {
		return nil, err
	}
	c, err := merge(layers)
	if err != nil {
		return nil, err
	}
	c.expandPaths()
	if err := check(root, c).err(); err != nil {
		return nil, err
	}
	return c, nil
}

// collect reads every layer, the lowest first.
func collect(root *field, top source, opt Options) ([]*layer, problems) {
	base := source{path: baseName, builtin: true}
	layers, found := chain(root, base)
	if top != base {
		files, p := chain(root, top)
		layers, found = append(layers, files...), append(found, p...)
	}
	if opt.Profile != "" {
		files, p := profileChain(root, opt.Profile)
		layers, found = append(layers, files...), append(found, p...)
	}
	env, p := envLayer(root, opt.Env, append(reservedEnv(), opt.ReservedEnv...))
	layers, found = append(layers, env), append(found, p...)
	sets, p := setLayer(root, opt.Sets)
	return append(layers, sets), append(found, p...)
}

// merge lays the layers over each other. Values are typed already, so an error
// here is a fault of this package or of the built-in base, not of the user.
func merge(layers []*layer) (*Config, error) {
	v, origins := viper.New(), map[string]string{}
	for _, l := range layers {
		if err := v.MergeConfigMap(l.values); err != nil {
			return nil, fmt.Errorf("merge the layers of the config: %w", err)
		}
		maps.Copy(origins, l.origins)
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

// Origin names the layer that set a key such as "relearn.lr": a file and line, an
// environment variable, or "--set". It is "" for what is no key.
func (c *Config) Origin(key string) string { return c.origins[key] }
