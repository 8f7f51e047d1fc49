package defense

import (
	"context"
	"fmt"
	"slices"

	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// mostPatches is how many Patches finds at most. Each takes of a batch's images what the other
// triggers then lack, and where a backdoor is everywhere, as noise is, so are they.
const mostPatches = 4

// searchedPatches is on how many images Patches tries each place, and how many of what does most there it
// fits: all of two images' in two rounds, where batches are small as many as take no more.
func searchedPatches(batch int) (images, patches int) {
	together := max(1, batch/ownImages)
	images = 1
	if together >= spotsTried {
		images = 2
	}
	return images, min(images*spotsTried, max(mostPatches, 2*together))
}

// PatchesBatches is how many batches of so many images Patches takes.
func PatchesBatches(batch int) int {
	images, patches := searchedPatches(batch)
	try, _ := spotBatches(images, batch)
	return try + fitted(patches, batch)
}

// Patches looks for small patches that lead to one class, elsewhere than those that are held: each
// place is tried on two images (see searchedPatches), and what does most for them is fitted. It returns
// those that lead there by half, four at most, the furthest first, and of any that overlap that
// one alone. Where training shifts or flips images a backdoor works in several places, each by other
// features of the network, and what is held against one of them leaves the others.
func Patches(ctx context.Context, dev *torch.Device, m *torch.Module, c Counter, class int, held []Lead, src train.Source, batch int, each func()) ([]Lead, error) {
	l := look{dev: dev, m: m, c: Patch.counter(c), way: Patch, src: src, batch: batch, each: each}
	images, patches := searchedPatches(batch)
	try, _ := spotBatches(images, batch)
	best, err := l.spots(ctx, slices.Repeat([]int{class}, images), try)
	if err != nil {
		return nil, fmt.Errorf("look for patches that lead to class %d: %w", class, err)
	}
	leads, err := l.fit(ctx, best[:patches])
	if err != nil {
		return nil, fmt.Errorf("fit patches that lead to class %d: %w", class, err)
	}
	var found []Lead
	for _, i := range furthest(leads) {
		over := func(other Lead) bool { return other.Spot.overlaps(leads[i].Spot) }
		if len(found) < mostPatches && leads[i].ByHalf() && !slices.ContainsFunc(held, over) && !slices.ContainsFunc(found, over) {
			found = append(found, leads[i])
		}
	}
	return found, nil
}

// overlaps tells whether two have pixels in common, which one of no size, as few pixels' is, has with none.
func (p Spot) overlaps(q Spot) bool {
	return p.Top < q.Top+q.Height && q.Top < p.Top+p.Height && p.Left < q.Left+q.Width && q.Left < p.Left+p.Width
}
