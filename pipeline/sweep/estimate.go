package sweep

import "math"

// Estimate is what a plan would take.
type Estimate struct {
	Done    int               // jobs
	Status  map[string]string // by job ID
	Seconds *float64          // what is left, shared out; nil where no job of a kind that is left has run
}

// Estimated looks at how long jobs of the same kind took in dir before; of so many
// slots, 0 where that is not known.
func Estimated(dir string, p *Plan, slots int) (Estimate, error) {
	e := Estimate{Status: map[string]string{}}
	store := newStore(dir)
	seconds, runs, left := map[string]float64{}, map[string]float64{}, map[string]float64{}
	for _, job := range p.Jobs {
		state, err := store.State(job)
		if err != nil {
			return e, err
		}
		e.Status[job.ID] = state.Status
		if state.Status != StatusDone {
			left[job.Kind]++
			continue
		}
		e.Done++
		if state.Seconds > 0 {
			seconds[job.Kind] += state.Seconds
			runs[job.Kind]++
		}
	}
	if slots == 0 {
		return e, nil
	}
	total := 0.0
	for kind, n := range left {
		if runs[kind] == 0 {
			return e, nil
		}
		total += math.Ceil(n/float64(slots)) * seconds[kind] / runs[kind]
	}
	e.Seconds = &total
	return e, nil
}
