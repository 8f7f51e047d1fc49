package sweep

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/slurm"
)

// Task is the last job of Slurm that a job of the plan was given to.
type Task struct {
	ID  string // ARRAY_INDEX
	Log string // what Slurm kept of its output
	// What Slurm says of it; State is empty where it knows it no more.
	slurm.Task
}

func cutTask(id string) (array, index string, ok bool) { return strings.Cut(id, "_") }

// Tasks asks Slurm once how all stands that it was given of a sweep, by job ID.
// Of a sweep that it was given nothing of, it is not asked.
func (s *Store) Tasks(ctx context.Context) (map[string]Task, error) {
	all, err := s.batches()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	queue, err := slurm.Queue(ctx)
	if err != nil {
		return nil, err
	}
	byName := map[string]string{} // for a submitter that was killed before it noted the number
	for id, task := range queue {
		byName[task.Name], _, _ = cutTask(id)
	}
	tasks := map[string]Task{}
	for _, b := range all {
		if b.Array == "" {
			b.Array = byName[b.Label]
		}
		for i, job := range b.Jobs {
			if b.Array == "" {
				continue
			}
			id := b.Array + "_" + strconv.Itoa(i)
			tasks[job] = Task{ID: id, Log: filepath.Join(s.dir, "logs", "slurm-"+id+".log"), Task: queue[id]}
		}
	}
	var gone []string
	seen := map[string]bool{}
	for _, task := range tasks {
		if array, _, _ := cutTask(task.ID); task.State == "" && !seen[array] {
			seen[array] = true
			gone = append(gone, array)
		}
	}
	ended, err := slurm.Ended(ctx, gone)
	if err != nil {
		return nil, err
	}
	for job, task := range tasks {
		if task.State == "" {
			task.Task = ended[task.ID]
			tasks[job] = task
		}
	}
	return tasks, nil
}

// States tells how each job of a plan stands, by what its process left and, for
// what was given to Slurm, by what that says. Where Slurm's commands are not, as
// where the folder was copied to, the processes' word is all.
func (s *Store) States(ctx context.Context, p *Plan) ([]State, error) {
	tasks, err := s.Tasks(ctx)
	if err != nil && !errors.Is(err, exec.ErrNotFound) {
		return nil, err
	}
	return s.StatesBeside(p, tasks)
}

// StatesBeside is States where it is known what Slurm says.
func (s *Store) StatesBeside(p *Plan, tasks map[string]Task) (states []State, err error) {
	states = make([]State, len(p.Jobs))
	status := map[string]string{}
	for i, job := range p.Jobs {
		if states[i], err = s.State(job); err != nil {
			return nil, err
		}
		if task, given := tasks[job.ID]; given && states[i].Status != StatusDone {
			states[i] = judgeTask(states[i], task)
		}
		status[job.ID] = states[i].Status
		if job.Needs != "" && states[i].Status == StatusInterrupted && states[i].Attempts == 0 && status[job.Needs] == StatusFailed {
			states[i].Status, states[i].Error = StatusFailed, fmt.Sprintf("not started, since %s failed", job.Needs)
		}
	}
	return states, nil
}

// judgeTask is a job's state in the light of what Slurm says. Where the job's
// process noted its own end, that stands: it knows more.
func judgeTask(state State, task Task) State {
	own := state.Task == task.ID
	if !own {
		state = State{Status: StatusWaiting, Task: task.ID}
	}
	switch {
	case task.Running():
		state.Status, state.Node = StatusRunning, task.Node
	case task.Live():
		before := state.Error
		state.Status, state.Error = StatusWaiting, "in the queue"
		if task.Reason != "" && task.Reason != "None" {
			state.Error += ": " + task.Reason
		}
		if own && before != "" {
			state.Error += ", once " + before
		}
	case own && state.Error != "" && state.Status != StatusRunning && !state.gone():
	default:
		state.Status, state.Error = StatusInterrupted, howEnded(task.State)
	}
	return state
}

// howEnded words a job's end of which its process left no word.
func howEnded(state string) string {
	switch state {
	case "NODE_FAIL", "BOOT_FAIL":
		return "its node was lost"
	case "TIMEOUT", "DEADLINE":
		return slurm.StopTimeLimit
	case "OUT_OF_MEMORY":
		return "it used more memory than the cluster gave it"
	case "PREEMPTED":
		return slurm.StopPreempted
	case "CANCELLED":
		return slurm.StopCancelled
	case "COMPLETED":
		return "it ended and left no result"
	case "":
		return "gone from Slurm's queue without a word: its node was lost, or it was killed"
	}
	return "it ended without a word (Slurm: " + state + ")"
}

// Cancel takes what is in Slurm's queue of a sweep out of it, and tells how many
// jobs that were.
func (s *Store) Cancel(ctx context.Context) (int, error) {
	tasks, err := s.Tasks(ctx)
	if err != nil {
		return 0, err
	}
	var ids []string
	for job, task := range tasks {
		if !task.Live() {
			delete(tasks, job)
			continue
		}
		ids = append(ids, task.ID)
	}
	if len(ids) == 0 {
		return 0, nil
	}
	if err := slurm.Cancel(ctx, ids); err != nil {
		return 0, err
	}
	// Of a job that never started Slurm may keep nothing, and no process tells.
	for job, task := range tasks {
		if task.Running() {
			continue
		}
		gone := State{Status: StatusInterrupted, Error: slurm.StopCancelled, Task: task.ID}
		if err := s.setState(&Job{ID: job}, gone); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

// NotQueued is an error where jobs of the sweep are in Slurm's queue: two would
// work on one.
func (s *Store) NotQueued(ctx context.Context) error {
	tasks, err := s.Tasks(ctx)
	if err != nil {
		return err
	}
	for _, task := range tasks {
		if task.Live() {
			return fault.Misuse("jobs of %s are in Slurm's queue (%s): wait for them, or end them with ulrl sweep cancel", s.dir, task.ID)
		}
	}
	return nil
}
