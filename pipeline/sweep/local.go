package sweep

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Event is news of a job.
type Event struct {
	Job  *Job
	Slot int    // -1: it is not among those that are shown
	What string // one of Event…
	// Progress of EventProgress; Total is 0 where it is not known.
	Phase       string
	Done, Total int
	Note        string
	// Of EventFailed, EventRetry, EventDamaged and where it is known EventStopped: why, and where there is more.
	Err error
	Log string
	// Of EventDone, EventFailed and EventRetry.
	Seconds float64
}

// What an Event tells.
const (
	EventStarted  = "started"
	EventProgress = "progress"
	EventDone     = "done"
	EventRetry    = "retry" // it failed and will be tried again
	EventFailed   = "failed"
	EventStopped  = "stopped" // the sweep was interrupted, or Slurm ended the job
	EventSkipped  = "skipped" // the job that it needs failed
	EventDamaged  = "damaged" // what it left is; it is done again
)

// Local works a plan off on this machine, a process for each job.
type Local struct {
	Store   *Store
	Slots   []Slot
	Binary  string // ulrl
	Env     []string
	Retries int           // of a job that failed for no fault of its config
	Memory  int64         // bytes that a worker may have resident; 0: no limit
	Grace   time.Duration // for a worker to stop when the sweep is interrupted
	// Task and Node say where in a cluster this is, for the jobs' states.
	Task, Node string
	// Watch hears every event, one at a time.
	Watch func(Event)

	telling sync.Mutex
}

func (l *Local) tell(e Event) {
	l.telling.Lock()
	defer l.telling.Unlock()
	l.Watch(e)
}

// Summary is how a sweep ended.
type Summary struct {
	Done    int `json:"done"`    // before and now
	Now     int `json:"now"`     // of these, now
	Failed  int `json:"failed"`  // now
	Skipped int `json:"skipped"` // since what they need failed
	Waiting int `json:"waiting"` // since the sweep was interrupted
}

// result is a job that came to its end, however.
type result struct {
	slot int
	job  *Job
	err  error
}

// Run works off what is not done yet. An interrupted sweep stops its workers
// and gives the context's error.
func (l *Local) Run(ctx context.Context, p *Plan) (Summary, error) {
	var sum Summary
	states := map[string]string{}
	var waiting []*Job
	for _, job := range p.Jobs {
		if wrong, err := l.Store.Mend(job); err != nil {
			return sum, err
		} else if wrong != nil {
			l.tell(Event{Job: job, What: EventDamaged, Err: wrong})
		}
		state, err := l.Store.State(job)
		if err != nil {
			return sum, err
		}
		if state.Status == StatusDone {
			states[job.ID] = StatusDone
			sum.Done++
			continue
		}
		waiting = append(waiting, job)
	}
	results := make(chan result)
	feeds := make([]chan *Job, len(l.Slots))
	var workers sync.WaitGroup
	for i := range l.Slots {
		feeds[i] = make(chan *Job)
		workers.Go(func() { l.slot(ctx, i, feeds[i], results) })
	}
	defer workers.Wait()
	defer func() {
		for _, feed := range feeds {
			close(feed)
		}
	}()

	idle := make([]int, 0, len(l.Slots))
	for i := range l.Slots {
		idle = append(idle, i)
	}
	running := 0
	var fatal error
	for {
		for len(idle) > 0 && ctx.Err() == nil && fatal == nil {
			var job *Job
			job, waiting = l.next(waiting, states, &sum)
			if job == nil {
				break
			}
			states[job.ID] = StatusRunning
			feeds[idle[0]] <- job
			idle, running = idle[1:], running+1
		}
		if running == 0 {
			break
		}
		r := <-results
		running--
		idle = append(idle, r.slot)
		switch {
		case r.err == nil:
			states[r.job.ID] = StatusDone
			sum.Done++
			sum.Now++
		case ctx.Err() != nil:
			states[r.job.ID] = StatusInterrupted
			sum.Waiting++
		case errors.As(r.err, new(*storeError)):
			fatal = r.err // a full disk: the other jobs would fail alike
		default:
			states[r.job.ID] = StatusFailed
			sum.Failed++
		}
	}
	sum.Waiting += len(waiting)
	return sum, errors.Join(ctx.Err(), fatal)
}

// next takes the first job that can start, and drops those that never can.
func (l *Local) next(waiting []*Job, states map[string]string, sum *Summary) (*Job, []*Job) {
	var rest []*Job
	for i, job := range waiting {
		need := StatusDone
		if job.Needs != "" {
			need = states[job.Needs]
		}
		switch need {
		case StatusDone:
			return job, append(rest, waiting[i+1:]...)
		case StatusFailed:
			states[job.ID] = StatusFailed
			sum.Skipped++
			l.tell(Event{Job: job, What: EventSkipped})
		default:
			rest = append(rest, job)
		}
	}
	return nil, rest
}
