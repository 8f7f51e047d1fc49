// Package progress is how a long computation says how far it has come.
package progress

// Sink is told about phases, one at a time. Its methods are called between
// batches and must return at once.
type Sink interface {
	// Start begins a phase, such as "unlearn", of total steps (batches); 0
	// where the number is not known.
	Start(phase string, total int)
	// Step says that one step is done; note is the latest measurement, such as
	// "epoch 3/20 loss 0.41 acc 0.90", or "".
	Step(note string)
	// End closes the phase.
	End()
}

// None is a Sink that does nothing.
type None struct{}

// Start does nothing.
func (None) Start(string, int) {}

// Step does nothing.
func (None) Step(string) {}

// End does nothing.
func (None) End() {}
