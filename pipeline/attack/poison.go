package attack

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	torch "ulrl/torchbridge"
)

// Poison puts the trigger on a share of a copy of set, drawn by seed, and
// labels those images with their goal. The share is of the whole set. The
// indices are those of the poisoned images, ascending.
func Poison(ctx context.Context, dev *torch.Device, trigger *torch.Module, set *dataset.Set, c config.Attack,
	n dataset.Normalisation, seed uint64) (*dataset.Set, []int, error) {
	chosen, err := choose(set, c, seed)
	if err != nil {
		return nil, nil, err
	}
	poisoned := &dataset.Set{
		Name: set.Name, C: set.C, H: set.H, W: set.W, Classes: set.Classes,
		Images: slices.Clone(set.Images), Labels: slices.Clone(set.Labels),
	}
	if err := Apply(ctx, dev, trigger, poisoned, chosen, n); err != nil {
		return nil, nil, err
	}
	if !cleanLabel(c) {
		for _, i := range chosen {
			poisoned.Labels[i] = goal(c, set.Labels[i], len(set.Classes))
		}
	}
	return poisoned, chosen, nil
}

// cleanLabel says whether the attack leaves labels as they are and so poisons
// images of the target class alone.
func cleanLabel(c config.Attack) bool { return c.Name == "lc" || c.Name == "sig" && c.SIG.CleanLabel }

// choose draws the images to poison: those whose class is not their goal, or
// for a clean-label attack those of the target class.
func choose(set *dataset.Set, c config.Attack, seed uint64) ([]int, error) {
	var candidates []int
	for i, label := range set.Labels {
		if cleanLabel(c) == (goal(c, label, len(set.Classes)) == label) {
			candidates = append(candidates, i)
		}
	}
	n := int(math.Round(c.PoisonRate * float64(set.Len())))
	if n == 0 {
		return nil, fault.Misuse("attack.poison_rate %v of %d images is none: raise it", c.PoisonRate, set.Len())
	}
	if n > len(candidates) {
		return nil, fault.Misuse("attack.poison_rate %v asks for %d poisoned images, only %d can be: lower it", c.PoisonRate, n, len(candidates))
	}
	rng := rand.New(rand.NewPCG(seed, 0x706f69736f6e))
	rng.Shuffle(len(candidates), func(a, b int) { candidates[a], candidates[b] = candidates[b], candidates[a] })
	chosen := candidates[:n]
	slices.Sort(chosen)
	return chosen, nil
}
