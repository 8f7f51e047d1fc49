package config

import "strings"

const nameMark = "${name}"

type pathKey struct {
	key  string
	path *string
}

// pathKeys are the keys whose value is a path.
func (c *Config) pathKeys() []pathKey {
	return []pathKey{
		{"output", &c.Output},
		{"data.dir", &c.Data.Dir},
		{"data.train", &c.Data.Train},
		{"data.train_labels", &c.Data.TrainLabels},
		{"data.test", &c.Data.Test},
		{"data.test_labels", &c.Data.TestLabels},
		{"model.path", &c.Model.Path},
		{"attack.output", &c.Attack.Output},
		{"attack.images", &c.Attack.Images},
		{"attack.blended.pattern", &c.Attack.Blended.Pattern},
		{"attack.clean_model.dir", &c.Attack.CleanModel.Dir},
		{"attack.lf.pattern", &c.Attack.LF.Pattern},
		{"attack.trigger.pattern", &c.Attack.Trigger.Pattern},
		{"attack.trigger.mask", &c.Attack.Trigger.Mask},
	}
}

// expandPaths puts the run's name in place of ${name}.
func (c *Config) expandPaths() {
	for _, p := range c.pathKeys() {
		*p.path = strings.ReplaceAll(*p.path, nameMark, c.Name)
	}
}

// paths refuses what a shell would expand and a config does not: it would become
// a folder of that name.
func (t *together) paths() {
	for _, p := range t.c.pathKeys() {
		switch {
		case strings.Contains(*p.path, "${"):
			t.add("only "+nameMark+" is replaced in paths", p.key)
		case *p.path == "~" || strings.HasPrefix(*p.path, "~/"):
			t.add("~ is not expanded; write the folder out", p.key)
		case strings.ContainsRune(*p.path, 0):
			t.add("a path cannot hold a NUL character", p.key)
		}
	}
}
