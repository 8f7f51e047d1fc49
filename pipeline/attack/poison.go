package attack

import (
	"context"
	"math/rand/v2"
	"slices"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	torch "ulrl/torchbridge"
)

// Poison is a copy of set that has the trigger on the chosen images, which are
// labelled with their goal.
func Poison(ctx context.Context, dev *torch.Device, trigger *torch.Module, set *dataset.Set, chosen []int, c config.Attack,
	n dataset.Normalisation) (*dataset.Set, error) {
	poisoned := &dataset.Set{
		Name: set.Name, C: set.C, H: set.H, W: set.W, Classes: set.Classes,
		Images: slices.Clone(set.Images), Labels: slices.Clone(set.Labels),
	}
	if err := Apply(ctx, dev, trigger, poisoned, chosen, n); err != nil {
		return nil, err
	}
	if !c.CleanLabel() {
		for _, i := range chosen {
			poisoned.Labels[i] = goal(c, set.Labels[i], len(set.Classes))
		}
	}
	return poisoned, nil
}

// Choose draws n images to poison, by seed: of those whose class is not their
// goal, or for a clean-label attack of the target class. The indices ascend.
func Choose(set *dataset.Set, c config.Attack, n int, seed uint64) ([]int, error) {
	var candidates []int
	for i, label := range set.Labels {
		if c.CleanLabel() == (goal(c, label, len(set.Classes)) == label) {
			candidates = append(candidates, i)
		}
	}
	if n > len(candidates) {
		return nil, fault.Misuse("%d of %d images were to be poisoned, only %d can be: ask for fewer", n, set.Len(), len(candidates))
	}
	rng := rand.New(rand.NewPCG(seed, 0x706f69736f6e))
	rng.Shuffle(len(candidates), func(a, b int) { candidates[a], candidates[b] = candidates[b], candidates[a] })
	chosen := candidates[:n]
	slices.Sort(chosen)
	return chosen, nil
}
