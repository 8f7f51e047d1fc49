package model

import (
	"path"
	"slices"
	"strings"

	"ulrl/pipeline/fault"
	torch "ulrl/torchbridge"
)

// Layer is a weight whose rows (dimension 0) are output neurons.
type Layer struct {
	Name   string // the part's dotted name, such as "layer4.0.conv1"
	Weight string // its parameter's name
	Bias   string // "" where there is none
	Shape  []int  // of the weight
}

// Rows is the number of output neurons.
func (l Layer) Rows() int { return l.Shape[0] }

// FanIn is the number of weights of one neuron.
func (l Layer) FanIn() int {
	n := 1
	for _, extent := range l.Shape[1:] {
		n *= extent
	}
	return n
}

// Layers lists the linear and convolutional layers in the module's order:
// every parameter of two or more dimensions and more than one row.
func Layers(s *torch.Scope, m *torch.Module) ([]Layer, error) {
	names, err := m.Parameters()
	if err != nil {
		return nil, err
	}
	var layers []Layer
	for _, name := range names {
		shape := m.Parameter(s, name).Shape()
		if len(shape) < 2 || shape[0] < 2 {
			continue
		}
		layer := Layer{Name: name, Weight: name, Shape: shape}
		if part, ok := strings.CutSuffix(name, ".weight"); ok {
			layer.Name = part
			if bias := part + ".bias"; slices.Contains(names, bias) {
				layer.Bias = bias
			}
		}
		layers = append(layers, layer)
	}
	return layers, s.Err()
}

// Head is the classifier: the last linear layer whose rows are the classes.
func Head(layers []Layer, classes int) (Layer, bool) {
	for _, l := range slices.Backward(layers) {
		if len(l.Shape) == 2 && l.Rows() == classes {
			return l, true
		}
	}
	return Layer{}, false
}

// Match picks layers by what a config says: "head", "all", or patterns as of
// path.Match on names, such as "layer4.*". The order is the module's.
func Match(layers []Layer, patterns []string, classes int) ([]Layer, error) {
	picked := map[string]bool{}
	for _, pattern := range patterns {
		before := len(picked)
		for _, l := range layers {
			if ok, err := path.Match(pattern, l.Name); err != nil {
				return nil, fault.Misuse("suspicious.layers: the pattern %q is malformed", pattern)
			} else if ok || pattern == "all" {
				picked[l.Name] = true
			}
		}
		if pattern == "head" {
			head, ok := Head(layers, classes)
			if !ok {
				return nil, fault.Misuse("the model has no linear layer with %d outputs to take for its head: name layers in suspicious.layers; there is: %s", classes, listNames(layers))
			}
			picked[head.Name] = true
		} else if len(picked) == before && !anyMatches(layers, pattern, picked) {
			return nil, fault.Misuse("suspicious.layers: nothing is named %q; there is: %s", pattern, listNames(layers))
		}
	}
	var out []Layer
	for _, l := range layers {
		if picked[l.Name] {
			out = append(out, l)
		}
	}
	return out, nil
}

// anyMatches tells a pattern that repeats an earlier one from one that matches nothing.
func anyMatches(layers []Layer, pattern string, picked map[string]bool) bool {
	return slices.ContainsFunc(layers, func(l Layer) bool {
		ok, _ := path.Match(pattern, l.Name)
		return (ok || pattern == "all") && picked[l.Name]
	})
}

func listNames(layers []Layer) string {
	const most = 8
	var names []string
	for _, l := range layers {
		names = append(names, l.Name)
	}
	if len(names) > most {
		names = append([]string{"…"}, names[len(names)-most:]...)
	}
	if len(names) == 0 {
		return "no layer at all"
	}
	return strings.Join(names, ", ")
}
