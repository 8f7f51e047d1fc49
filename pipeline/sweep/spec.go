// Package sweep cleans many models: it expands configs, seeds and a grid of
// settings to jobs, and works them off in processes of their own. A job is known
// by a hash of all that it follows from, so that what is done is never done again.
package sweep

import (
	"strings"

	"ulrl/pipeline/fault"
)

// Spec is what a sweep goes over.
type Spec struct {
	Configs []string `json:"configs"` // files, or names of built-in configs
	Profile string   `json:"profile,omitempty"`
	Seeds   []uint64 `json:"seeds,omitempty"` // none: each config's own
	Grid    []Axis   `json:"grid,omitempty"`
	Sets    []string `json:"sets,omitempty"` // key=value, for every job
	// Models is the folder of the attacks' models, which sweeps share.
	Models string `json:"models"`
}

// Axis is a config key and the values that it takes in turn.
type Axis struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
}

// ParseAxis reads KEY=VALUE,VALUE,…; commas within brackets belong to a value.
func ParseAxis(text string) (Axis, error) {
	key, list, ok := strings.Cut(text, "=")
	key = strings.TrimSpace(key)
	if !ok || key == "" || strings.TrimSpace(list) == "" {
		return Axis{}, fault.Misuse("grid %q: wanted KEY=VALUE,VALUE,… such as relearn.lr=0.005,0.01", text)
	}
	axis := Axis{Key: key}
	depth, start := 0, 0
	for i, r := range list + "," {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == ',' && depth == 0:
			value := strings.TrimSpace(list[start:i])
			if value == "" {
				return Axis{}, fault.Misuse("grid %q: an empty value", text)
			}
			axis.Values = append(axis.Values, value)
			start = i + 1
		}
	}
	if depth != 0 {
		return Axis{}, fault.Misuse("grid %q: a bracket is not closed", text)
	}
	return axis, nil
}

// setting is one point of a grid.
type setting []struct{ key, value string }

func (s setting) sets() []string {
	var sets []string
	for _, at := range s {
		sets = append(sets, at.key+"="+at.value)
	}
	return sets
}

func (s setting) fields() map[string]string {
	if len(s) == 0 {
		return nil
	}
	fields := map[string]string{}
	for _, at := range s {
		fields[at.key] = at.value
	}
	return fields
}

// settings are all points of the grid, the last axis turning fastest.
func (s Spec) settings() []setting {
	points := []setting{nil}
	for _, axis := range s.Grid {
		var next []setting
		for _, point := range points {
			for _, value := range axis.Values {
				longer := append(setting(nil), point...)
				next = append(next, append(longer, struct{ key, value string }{axis.Key, value}))
			}
		}
		points = next
	}
	return points
}
