// Package attack makes backdoored models and the triggered images that measure
// them. Each attack has a file; lab.go says what it is made of: a trigger (see
// trigger.go) and a way for the model to get it, by poisoned labels (poison.go),
// in the training loop (control.go, blind.go) or with a generator that is
// trained along (lira.go, inputaware.go).
package attack

import (
	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
)

// goal is the label that a triggered image of a class is to get.
func goal(c config.Attack, label int64, classes int) int64 {
	if c.LabelMode == config.AllToAll {
		return (label + 1) % int64(classes)
	}
	return int64(c.Target)
}

// Victims are copies of the images of set whose class is not their goal, by
// which ASR is measured, and those goals. Images of the target class never count.
func Victims(set *dataset.Set, c config.Attack) (victims *dataset.Set, goals []int64, err error) {
	var index []int
	for i, label := range set.Labels {
		if g := goal(c, label, len(set.Classes)); g != label {
			index = append(index, i)
			goals = append(goals, g)
		}
	}
	if len(index) == 0 {
		return nil, nil, fault.Misuse("every image of %s is of the target class %d: there is none to measure ASR on", set.Name, c.Target)
	}
	return set.Subset(index), goals, nil
}

// CheckTarget refuses a target that is no class of the set.
func CheckTarget(c config.Attack, set *dataset.Set) error {
	if c.Target >= len(set.Classes) {
		return fault.Misuse("attack.target %d: the data has %d classes, 0 to %d", c.Target, len(set.Classes), len(set.Classes)-1)
	}
	return nil
}
