package dataset

import (
	"math/rand/v2"

	torch "ulrl/torchbridge"
)

// cropPadding is the usual padding of random crops, in pixels on each side.
const cropPadding = 4

// LoaderOptions say how a set is cut into batches.
type LoaderOptions struct {
	BatchSize int
	Shuffle   bool // a new order each epoch, by Seed
	Crop      bool // random crop with padding 4 (black)
	Flip      bool // random mirror, half the time
	Seed      uint64
	Normalise Normalisation
}

// Loader gives a set's images as normalised batches. The same (epoch, batch)
// is always the same data, so that a run can be repeated or resumed anywhere.
type Loader struct {
	set   *Set
	o     LoaderOptions
	table [][256]float32
	order []int
	epoch int // the epoch that order belongs to
}

// NewLoader cuts set into batches.
func NewLoader(set *Set, o LoaderOptions) *Loader {
	l := &Loader{set: set, o: o, table: o.Normalise.table(), order: make([]int, set.Len()), epoch: -1}
	for i := range l.order {
		l.order[i] = i
	}
	return l
}

// Images is how many there are in an epoch.
func (l *Loader) Images() int { return l.set.Len() }

// Batches is how many there are in an epoch. A last batch of one image joins
// the one before it, since BatchNorm cannot train on a single value.
func (l *Loader) Batches() int {
	n, size := l.set.Len(), l.o.BatchSize
	full := (n + size - 1) / size
	if n%size == 1 && full > 1 && size > 1 {
		full--
	}
	return full
}

// Batch is batch i (from 0) of an epoch (from 0): float32 N×C×H×W images in
// channels-last order and int64 labels of N, on the scope's device.
func (l *Loader) Batch(s *torch.Scope, epoch, i int) (images, labels *torch.Tensor) {
	index := l.indices(epoch, i)
	y := make([]int64, len(index))
	for k, at := range index {
		y[k] = l.set.Labels[at]
	}
	moves := l.moves(epoch, i, len(index))
	var x *torch.Tensor
	if s.Device().Name() == "cpu" {
		x = l.here(s, index, moves)
	} else {
		x = l.there(s, index, moves)
	}
	return x.ChannelsLast(), torch.From(s, y, len(y))
}

// move is how one image is augmented: so many rows further down, columns
// further right, and 1 where it is mirrored.
type move [3]int64

func (l *Loader) moves(epoch, i, n int) []move {
	rng := stream(l.o.Seed, epoch, i)
	moves := make([]move, n)
	for k := range moves {
		if l.o.Crop {
			moves[k][0], moves[k][1] = rng.Int64N(2*cropPadding+1)-cropPadding, rng.Int64N(2*cropPadding+1)-cropPadding
		}
		if l.o.Flip {
			moves[k][2] = rng.Int64N(2)
		}
	}
	return moves
}

// here makes a batch with the CPU, several times as fast as libtorch would.
func (l *Loader) here(s *torch.Scope, index []int, moves []move) *torch.Tensor {
	set := l.set
	size := set.C * set.H * set.W
	pixels := make([]float32, len(index)*size)
	for k, at := range index {
		l.place(pixels[k*size:(k+1)*size], set.Image(at), moves[k])
	}
	return torch.From(s, pixels, len(index), set.C, set.H, set.W)
}

// there sends the bytes and has the device do the rest, for which nobody waits.
// The result is that of here.
func (l *Loader) there(s *torch.Scope, index []int, moves []move) *torch.Tensor {
	set := l.set
	bytes := make([]uint8, 0, len(index)*set.C*set.H*set.W)
	for _, at := range index {
		bytes = append(bytes, set.Image(at)...)
	}
	var flat []int64
	for _, m := range moves {
		flat = append(flat, m[:]...)
	}
	var table []float32
	for _, t := range l.table {
		table = append(table, t[:]...)
	}
	return torch.From(s, bytes, len(index), set.C, set.H, set.W).
		Pictures(torch.From(s, flat, len(moves), len(move{})), torch.From(s, table, set.C, len(l.table[0])))
}

func (l *Loader) indices(epoch, i int) []int {
	if l.o.Shuffle && l.epoch != epoch {
		rng := stream(l.o.Seed, epoch, shuffleStream)
		for k := range l.order {
			l.order[k] = k
		}
		rng.Shuffle(len(l.order), func(a, b int) { l.order[a], l.order[b] = l.order[b], l.order[a] })
		l.epoch = epoch
	}
	end := (i + 1) * l.o.BatchSize
	if i == l.Batches()-1 {
		end = len(l.order)
	}
	return l.order[i*l.o.BatchSize : end]
}

// shuffleStream is no batch's number.
const shuffleStream = -1

// stream is a generator of its own for each seed, epoch and purpose; the
// multiplication keeps neighbouring seeds and epochs from meeting.
func stream(seed uint64, epoch, purpose int) *rand.Rand {
	const golden = 0x9E3779B97F4A7C15
	return rand.New(rand.NewPCG(seed*golden+uint64(epoch), uint64(purpose)))
}

// place writes one image, moved over black.
func (l *Loader) place(dst []float32, src []uint8, m move) {
	h, w := l.set.H, l.set.W
	dy, dx, mirror := int(m[0]), int(m[1]), m[2] != 0
	for c := range l.set.C {
		table := &l.table[c]
		for row := range h {
			out := dst[(c*h+row)*w : (c*h+row+1)*w]
			from := row + dy
			if from < 0 || from >= h {
				for k := range out {
					out[k] = table[0]
				}
				continue
			}
			in := src[(c*h+from)*w : (c*h+from+1)*w]
			for k := range out {
				at := k + dx
				if mirror {
					at = w - 1 - k + dx
				}
				if at < 0 || at >= w {
					out[k] = table[0]
				} else {
					out[k] = table[in[at]]
				}
			}
		}
	}
}
