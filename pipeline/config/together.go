package config

import (
	"fmt"
	"slices"
	"strings"
)

// together collects problems that several keys make between them.
type together struct {
	c     *Config
	root  *field
	bad   map[string]bool // keys whose values are out of range
	found problems
}

// checkTogether finds values that are each in range and do not go together; bad are the keys
// of those that are not.
func checkTogether(c *Config, bad map[string]bool) problems {
	t := &together{c: c, root: schema(), bad: bad}
	t.clean()
	t.data()
	t.normalisation()
	t.attack()
	t.paths()
	for i := 1; i < len(c.Unlearn.Milestones); i++ {
		if c.Unlearn.Milestones[i] <= c.Unlearn.Milestones[i-1] {
			t.add("each epoch must be above the one before it", "unlearn.milestones")
			break
		}
	}
	if c.Defense.Method == MethodFTSAM && c.Relearn.Rho == 0 {
		t.add("sharpness-aware fine-tuning looks up the slope: relearn.rho must be above 0", "defense.method", "relearn.rho")
	}
	if l := c.Suspicious.Layers; len(l) > 1 && slices.Contains(l, LayersAll) {
		t.add("all stands alone", "suspicious.layers")
	}
	return t.found
}

// add tells the keys' values and where each was set, then the rule.
func (t *together) add(rule string, keys ...string) {
	if slices.ContainsFunc(keys, func(key string) bool { return t.bad[key] }) {
		return
	}
	if len(keys) == 1 {
		t.found.add("%s: %s is %s: %s", t.c.Origin(keys[0]), keys[0], show(t.c, t.root.find(keys[0])), rule)
		return
	}
	var parts []string
	for _, key := range keys {
		f := t.root.find(key)
		parts = append(parts, fmt.Sprintf("%s is %s (%s)", key, show(t.c, f), t.c.Origin(key)))
	}
	t.found.add("%s: %s", strings.Join(parts, " and "), rule)
}

func (t *together) clean() {
	if (t.c.Clean.Count > 0) == (t.c.Clean.Ratio > 0) {
		t.add("exactly one of them must be above 0", "clean.count", "clean.ratio")
	}
	if t.c.Clean.Poisoned > 0 && !t.c.Attack.Makes() {
		t.add("only an attack that makes triggers can poison samples", "clean.poisoned", "attack.name")
	}
}

func (t *together) data() {
	d := t.c.Data
	if d.Classes == 1 {
		t.add("a classifier has 2 classes or more; 0 takes what is in the data", "data.classes")
	}
	const imageFiles, named, labelled = "folder gtsrb tiny-imagenet auto", "idx folder npy", "idx npy"
	for _, only := range []struct {
		set        bool
		key, kinds string
	}{
		{d.Channels != 0, "data.channels", imageFiles},
		{len(d.Size) > 0, "data.size", imageFiles},
		{d.Train != "", "data.train", named},
		{d.TrainLabels != "", "data.train_labels", labelled},
		{d.Test != "" && d.Test != NoTestSet, "data.test", named},
		{d.TestLabels != "", "data.test_labels", labelled},
	} {
		if kinds := strings.Fields(only.kinds); only.set && !slices.Contains(kinds, d.Kind) {
			t.add("the latter is for kind "+strings.Join(kinds, ", ")+" only", "data.kind", only.key)
		}
	}
	if d.Kind == KindNPY {
		t.arrays()
		return
	}
	if d.Dir == "" && d.Train == "" {
		t.add("one of them must say where the images are", "data.dir", "data.train")
	}
	if d.Dir == "" && d.Test == "" {
		t.add("one of them must say where the images are; data.test none is for no test set", "data.dir", "data.test")
	}
}

// arrays wants NumPy's files named, as they have no usual names.
func (t *together) arrays() {
	d := t.c.Data
	for _, of := range []struct{ file, labels, key string }{{d.Train, d.TrainLabels, "data.train"}, {d.Test, d.TestLabels, "data.test"}} {
		both := strings.HasSuffix(strings.ToLower(of.file), ".npz")
		switch {
		case of.file == NoTestSet && of.key == "data.test":
		case of.file == "":
			t.add("kind npy wants the file of images named", "data.kind", of.key)
		case both && of.labels != "":
			t.add("an .npz file has the labels in it", of.key, of.key+"_labels")
		case !both && of.labels == "":
			t.add("name the .npy file of labels, or an .npz file that has both", of.key, of.key+"_labels")
		}
	}
}

func (t *together) normalisation() {
	d := t.c.Data
	switch {
	case len(d.Mean) != len(d.Std):
		t.add("both must have one number per channel, or none", "data.mean", "data.std")
	case d.Channels != 0 && len(d.Mean) != 0 && len(d.Mean) != d.Channels:
		t.add("wanted one number per channel", "data.mean", "data.channels")
	case d.Name == "custom" && len(d.Mean) == 0:
		t.add("give mean and std as the model was trained with; [0] and [1] for none", "data.name", "data.mean")
	}
}

func (t *together) attack() {
	a := t.c.Attack
	if t.c.Data.Classes > 0 && a.Target >= t.c.Data.Classes {
		t.add("the target must be one of the classes, counted from 0", "attack.target", "data.classes")
	}
	if a.CleanLabel() && a.LabelMode == AllToAll {
		t.add("a clean-label attack poisons images of the one target class: it needs all2one", "attack.name", "attack.label_mode")
	}
	if (a.Name == AttackRecorded) != (a.Images != "") {
		t.add("recorded needs the folder of triggered images, and no other attack takes one", "attack.name", "attack.images")
	}
	if (a.Trigger.Pattern == "") != (a.Trigger.Mask == "") {
		t.add("give both files or neither", "attack.trigger.pattern", "attack.trigger.mask")
	}
	if a.Train.Nesterov && a.Train.Momentum == 0 {
		t.add("Nesterov's needs a momentum above 0", "attack.train.nesterov", "attack.train.momentum")
	}
}
