// Package attack makes backdoored models and the triggered images that measure
// them. A Trigger is what is put on an image; how a model learns it is in
// poison.go (labels) and train.go (the training loop).
package attack

import (
	"math"
	"math/rand/v2"
	"slices"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
)

// Trigger changes one image, C×H×W bytes 0..255, in place. It does the same to
// the same image every time.
type Trigger interface {
	Apply(image []uint8)
}

// NewTrigger makes the trigger that the config names, for images of a set's shape.
func NewTrigger(c config.Attack, set *dataset.Set) (Trigger, error) {
	switch c.Name {
	case "badnets":
		return newPatch(c.Trigger, set.C, set.H, set.W)
	default:
		return nil, fault.Misuse("attack.name %q has no trigger", c.Name)
	}
}

// goal is the label that a triggered image of a class is to get.
func goal(c config.Attack, label int64, classes int) int64 {
	if c.LabelMode == "all2all" {
		return (label + 1) % int64(classes)
	}
	return int64(c.Target)
}

// Triggered is every image of set whose class is not its goal, with the
// trigger on. want are the goals; the set's labels stay the true classes.
func Triggered(set *dataset.Set, c config.Attack, trigger Trigger) (triggered *dataset.Set, want []int64, err error) {
	var index []int
	for i, label := range set.Labels {
		if g := goal(c, label, len(set.Classes)); g != label {
			index = append(index, i)
			want = append(want, g)
		}
	}
	if len(index) == 0 {
		return nil, nil, fault.Misuse("every image of %s is of the target class %d: there is none to measure ASR on", set.Name, c.Target)
	}
	triggered = set.Subset(index)
	for i := range triggered.Len() {
		trigger.Apply(triggered.Image(i))
	}
	return triggered, want, nil
}

// Poison puts the trigger on a share of a copy of set, drawn by seed from the
// images whose class is not their goal, and relabels them. The share is of the
// whole set. The indices are those of the poisoned images, ascending.
func Poison(set *dataset.Set, c config.Attack, trigger Trigger, seed uint64) (*dataset.Set, []int, error) {
	var candidates []int
	for i, label := range set.Labels {
		if goal(c, label, len(set.Classes)) != label {
			candidates = append(candidates, i)
		}
	}
	n := int(math.Round(c.PoisonRate * float64(set.Len())))
	if n == 0 {
		return nil, nil, fault.Misuse("attack.poison_rate %v of %d images is none: raise it", c.PoisonRate, set.Len())
	}
	if n > len(candidates) {
		return nil, nil, fault.Misuse("attack.poison_rate %v asks for %d poisoned images, only %d are not of their target class: lower it", c.PoisonRate, n, len(candidates))
	}
	rng := rand.New(rand.NewPCG(seed, 0x706f69736f6e))
	rng.Shuffle(len(candidates), func(a, b int) { candidates[a], candidates[b] = candidates[b], candidates[a] })
	chosen := candidates[:n]
	slices.Sort(chosen)
	poisoned := &dataset.Set{
		Name: set.Name, C: set.C, H: set.H, W: set.W, Classes: set.Classes,
		Images: slices.Clone(set.Images), Labels: slices.Clone(set.Labels),
	}
	for _, i := range chosen {
		trigger.Apply(poisoned.Image(i))
		poisoned.Labels[i] = goal(c, set.Labels[i], len(set.Classes))
	}
	return poisoned, chosen, nil
}

// CheckTarget refuses a target that is no class of the set.
func CheckTarget(c config.Attack, set *dataset.Set) error {
	if c.Target >= len(set.Classes) {
		return fault.Misuse("attack.target %d: the data has %d classes, 0 to %d", c.Target, len(set.Classes), len(set.Classes)-1)
	}
	return nil
}
