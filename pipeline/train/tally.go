package train

import (
	"fmt"
	"math"
	"time"

	torch "ulrl/torchbridge"
)

// Epoch is what one pass over a source measured.
type Epoch struct {
	Phase    string  // "unlearn", "relearn" or "train"
	Epoch    int     // from 1
	LR       float64 // of its first batch
	Loss     float64 // mean cross-entropy of the images
	Accuracy float64 // of the forward passes of its own updates
	Cosine   float64 // relearning: mean over the batches of Σ cos(row, original row)
	Seconds  float64
	Batches  []float64 // each batch's cross-entropy in the pass of its update
	Totals   []float64 // relearning: each batch's whole loss
}

// Seen is what a batch of N images gave.
type Seen struct {
	Logits, Labels *torch.Tensor // N×K, N
	CrossEntropy   *torch.Tensor // one element
	// Relearning's whole loss and its Σ cos, one element each; else nil.
	Total, Cosine *torch.Tensor
}

// ReadEvery is how long numbers may lie on the device before they are read:
// reading waits for all that a GPU has still to do.
const ReadEvery = 200 * time.Millisecond

// Tally collects an epoch.
type Tally struct {
	Epoch
	advice string // where it diverges
	epochs int
	began  time.Time
	images int // of which the numbers were read
	right  float64
	added  int // batches

	unread []*torch.Tensor // a batch's numbers each, on keep
	sizes  []int           // and its images
	keep   *torch.Scope
	read   time.Time
}

// newTally starts epoch (from 0) of the plan's. It keeps tensors on the scope
// until they are read.
func newTally(p Plan, epoch int, keep *torch.Scope) *Tally {
	return &Tally{
		Epoch:  Epoch{Phase: p.Phase, Epoch: epoch + 1, LR: p.LR(epoch, 0)},
		advice: p.Advice, epochs: p.Epochs, began: time.Now(), keep: keep,
	}
}

// Added is how many batches there were.
func (t *Tally) Added() int { return t.added }

// Add notes a batch, inside the step. A loss that is NaN or infinite, of this
// batch or an earlier one, is an error that ends with the plan's advice.
func (t *Tally) Add(s *torch.Scope, b Seen) error {
	right := b.Logits.ArgMaxDim(1).Eq(b.Labels).Sum()
	numbers := []*torch.Tensor{b.CrossEntropy, right}
	if b.Total != nil {
		numbers = append(numbers, b.Total, b.Cosine)
	}
	for i, n := range numbers {
		numbers[i] = n.Detach().To(torch.Float64).Reshape(1)
	}
	row := s.Cat(0, numbers...)
	if err := s.Err(); err != nil {
		return err
	}
	t.unread, t.sizes = append(t.unread, row.MoveTo(t.keep)), append(t.sizes, b.Labels.Len())
	t.added++
	if time.Since(t.read) < ReadEvery {
		return nil
	}
	return t.settle(s)
}

// settle reads what lies on the device, on its thread.
func (t *Tally) settle(s *torch.Scope) error {
	if len(t.unread) == 0 {
		return nil
	}
	rows := make([]*torch.Tensor, len(t.unread))
	for i, row := range t.unread {
		rows[i] = row.In(s)
	}
	values := torch.Values[float64](s.Cat(0, rows...))
	if err := s.Err(); err != nil {
		return err
	}
	width := len(values) / len(t.unread)
	for i, n := range t.sizes {
		if err := t.note(values[i*width:(i+1)*width], n); err != nil {
			return err
		}
		t.unread[i].Free()
	}
	t.unread, t.sizes, t.read = t.unread[:0], t.sizes[:0], time.Now()
	return nil
}

// note takes a batch's numbers.
func (t *Tally) note(numbers []float64, images int) error {
	loss := numbers[0]
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return fmt.Errorf("%w, the loss of epoch %d is %v: %s", ErrDiverged, t.Epoch.Epoch, loss, t.advice)
	}
	t.Loss += loss * float64(images)
	t.right += numbers[1]
	t.images += images
	t.Batches = append(t.Batches, loss)
	if len(numbers) > 2 {
		t.Totals = append(t.Totals, numbers[2])
		t.Cosine += numbers[3]
	}
	return nil
}

// text is the epoch so far, for people.
func (t *Tally) text() string {
	n := float64(max(1, t.images))
	return fmt.Sprintf("epoch %d/%d loss %.3f acc %.3f", t.Epoch.Epoch, t.epochs, t.Loss/n, t.right/n)
}

// finish ends the epoch, all of which was read.
func (t *Tally) finish() Epoch {
	n := float64(max(1, t.images))
	t.Loss /= n
	t.Accuracy = t.right / n
	t.Cosine /= float64(max(1, len(t.Batches)))
	t.Seconds = time.Since(t.began).Seconds()
	return t.Epoch
}
