package attack

import (
	"math"
	"math/rand/v2"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// NewDecoy makes the module that a controlled attack teaches the model to
// resist: a normalised batch and what the attack wants beside it in, the decoy
// out. It belongs to s.
func NewDecoy(s *torch.Scope, c config.Attack, f Form) (*torch.Module, error) {
	b := torch.NewBuilder(s)
	if c.Name == "wanet" {
		trigger, err := warpTrigger(b, s, c, f)
		if err != nil {
			return nil, err
		}
		return framed(b, s, warpDecoy(b, trigger), f, "Decoy", ", shake", ", shake")
	}
	trigger, err := depthTrigger(b, s, c, f)
	if err != nil {
		return nil, err
	}
	return framed(b, s, depthDecoy(b, trigger), f, "Decoy", ", other", ", "+otherPixels)
}

// poisonedBatches poisons a share of every batch of a source: the first
// images, which shuffling makes random ones, get the trigger and their goal as
// label; cross times as many behind them get a decoy and keep their label.
type poisonedBatches struct {
	train.Source
	c              config.Attack
	classes        int
	seed           uint64
	trigger, decoy *torch.Module
}

// PoisonBatches is src with every batch poisoned as c says. The source must
// shuffle.
func PoisonBatches(src train.Source, c config.Attack, set *dataset.Set, seed uint64, trigger, decoy *torch.Module) train.Source {
	return poisonedBatches{Source: src, c: c, classes: len(set.Classes), seed: seed, trigger: trigger, decoy: decoy}
}

func (p poisonedBatches) Batch(s *torch.Scope, epoch, i int) (images, labels *torch.Tensor) {
	x, y := p.Source.Batch(s, epoch, i)
	n := y.Len()
	hit := min(n, int(math.Round(p.c.PoisonRate*float64(n))))
	decoys := min(n-hit, int(math.Round(p.c.CrossRatio*float64(hit))))
	if hit == 0 {
		return x, y
	}
	var parts []*torch.Tensor
	s.NoGrad(func() {
		parts = append(parts, p.trigger.Forward(x.Narrow(0, 0, hit)))
		if decoys > 0 {
			at := x.Narrow(0, hit, decoys)
			parts = append(parts, p.decoy.Forward(at, p.beside(s, x, epoch, i, decoys)))
		}
		if rest := n - hit - decoys; rest > 0 {
			parts = append(parts, x.Narrow(0, hit+decoys, rest))
		}
	})
	wanted := s.Cat(0, goals(s, p.c, p.classes, y.Narrow(0, 0, hit)), y.Narrow(0, hit, n-hit))
	return s.Cat(0, parts...).ChannelsLast(), wanted
}

// beside is what the decoy wants beside the images: noise for wanet, other
// images of the batch for bpp.
func (p poisonedBatches) beside(s *torch.Scope, x *torch.Tensor, epoch, i, decoys int) *torch.Tensor {
	rng := rand.New(rand.NewPCG(p.seed^0x6465636f79, uint64(epoch)<<32|uint64(i)))
	if p.c.Name == "bpp" {
		others := make([]int, decoys)
		for k := range others {
			others[k] = rng.IntN(x.Shape()[0])
		}
		return x.Rows(others)
	}
	shape := x.Shape()
	noise := make([]float32, decoys*2*shape[2]*shape[3])
	for k := range noise {
		noise[k] = rng.Float32()
	}
	return torch.From(s, noise, decoys, 2, shape[2], shape[3])
}
