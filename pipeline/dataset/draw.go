package dataset

import (
	"math"
	"math/rand/v2"
	"slices"

	"ulrl/pipeline/fault"
)

// drawStream keeps the clean draw apart from other uses of the same seed.
const drawStream = 0x636c65616e // "clean"

// DrawOptions says how many samples to draw; exactly one of Count and Ratio is
// positive.
type DrawOptions struct {
	Count int
	Ratio float64 // share of the set in (0, 1]
	// Balanced draws as many of each class; a remainder goes to classes the
	// seed chooses, one each.
	Balanced bool
	Seed     uint64
}

// Draw chooses samples of s without replacement. The indices are sorted and
// depend on the set's labels and o alone.
func Draw(s *Set, o DrawOptions) ([]int, error) {
	count, err := drawCount(s, o)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(o.Seed, drawStream))
	var picked []int
	if o.Balanced {
		picked, err = drawBalanced(s, count, rng)
		if err != nil {
			return nil, err
		}
	} else {
		all := make([]int, s.Len())
		for i := range all {
			all[i] = i
		}
		picked = pick(all, count, rng)
	}
	slices.Sort(picked)
	return picked, nil
}

// drawCount is the number of samples o asks for, from 1 to s.Len().
func drawCount(s *Set, o DrawOptions) (int, error) {
	n := s.Len()
	switch {
	case n == 0:
		return 0, fault.Misuse("clean draw: the set %s is empty", s.Name)
	case o.Count < 0:
		return 0, fault.Misuse("clean draw: count %d is negative", o.Count)
	case !(o.Ratio >= 0 && o.Ratio <= 1): // NaN too
		return 0, fault.Misuse("clean draw: ratio %v is not between 0 and 1", o.Ratio)
	case (o.Count > 0) == (o.Ratio > 0):
		return 0, fault.Misuse("clean draw: count is %d and ratio is %v; set exactly one of clean.count and clean.ratio above 0", o.Count, o.Ratio)
	case o.Count > n:
		return 0, fault.Misuse("clean draw: %d samples asked for, but %s has %d; set clean.count to %d or less", o.Count, s.Name, n, n)
	case o.Count > 0:
		return o.Count, nil
	}
	// 0.29 × 100 is a hair below 29 in binary.
	count := int(math.Floor(o.Ratio*float64(n) + 1e-9))
	if count == 0 {
		return 0, fault.Misuse("empty clean draw: ratio %v of the %d images of %s is less than one; set clean.ratio to %v or more, or use clean.count",
			o.Ratio, n, s.Name, math.Ceil(1e6/float64(n))/1e6)
	}
	return min(count, n), nil
}

// drawBalanced draws count samples, as many of each class as of any other, one
// more or less.
func drawBalanced(s *Set, count int, rng *rand.Rand) ([]int, error) {
	byClass, err := indicesByClass(s)
	if err != nil {
		return nil, err
	}
	quota, err := quotas(s, byClass, count, rng)
	if err != nil {
		return nil, err
	}
	picked := make([]int, 0, count)
	for class, indices := range byClass {
		picked = append(picked, pick(indices, quota[class], rng)...)
	}
	return picked, nil
}

// indicesByClass is the samples of each class, none of them without any.
func indicesByClass(s *Set) ([][]int, error) {
	byClass := make([][]int, len(s.Classes))
	for i, label := range s.Labels {
		if label < 0 || label >= int64(len(byClass)) {
			return nil, fault.Misuse("clean draw: label %d of image %d of %s is beyond its %d classes", label, i, s.Name, len(byClass))
		}
		byClass[label] = append(byClass[label], i)
	}
	for class, indices := range byClass {
		if len(indices) == 0 {
			return nil, fault.Misuse("balanced clean draw: class %q has no samples in %s; add some or set clean.balanced to false", s.Classes[class], s.Name)
		}
	}
	return byClass, nil
}

// quotas is how many samples to draw of each class, count in all.
func quotas(s *Set, byClass [][]int, count int, rng *rand.Rand) ([]int, error) {
	each, rest := count/len(byClass), count%len(byClass)
	quota := make([]int, len(byClass))
	smallest := 0
	for class, indices := range byClass {
		quota[class] = each
		if len(indices) < len(byClass[smallest]) {
			smallest = class
		}
	}
	for _, class := range rng.Perm(len(byClass)) {
		if rest > 0 && len(byClass[class]) > each {
			quota[class]++
			rest--
		}
	}
	if least := len(byClass[smallest]); rest > 0 || least < each {
		return nil, fault.Misuse("balanced clean draw of %d: class %q of %s has only %d samples; set clean.count to %d or less, or clean.balanced to false",
			count, s.Classes[smallest], s.Name, least, least*len(byClass))
	}
	return quota, nil
}

// pick moves count of indices, chosen at random, to its front and returns them.
func pick(indices []int, count int, rng *rand.Rand) []int {
	for i := range count {
		j := i + rng.IntN(len(indices)-i)
		indices[i], indices[j] = indices[j], indices[i]
	}
	return indices[:count]
}
