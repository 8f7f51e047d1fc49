package sweep

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/runstore"
	"ulrl/pipeline/slurm"
)

// Cluster works a plan off on a Slurm cluster: job arrays, one job of theirs for
// each of the plan's. The sweep's folder and all inputs must be on file systems
// that the nodes share.
type Cluster struct {
	Store     *Store
	Binary    string // ulrl, on the nodes
	Resources slurm.Resources
	AtOnce    int // so many jobs run at a time; 0: as many as the cluster lets
	Retries   int
}

// batch is an array of jobs that Slurm was given: batches/NAME.json. It is
// written before the array is submitted, so that its jobs find it, and again
// with the array's number.
type batch struct {
	Name      string          `json:"-"`
	Jobs      []string        `json:"jobs"` // IDs by index
	Array     string          `json:"array,omitempty"`
	Label     string          `json:"label"` // the array's name in Slurm
	Retries   int             `json:"retries"`
	AtOnce    int             `json:"at_once,omitempty"`
	Resources slurm.Resources `json:"resources"`
	Submitted time.Time       `json:"submitted"`
}

func (s *Store) batchPath(name string) string { return filepath.Join(s.dir, "batches", name+".json") }

func (s *Store) writeBatch(b batch) error {
	return runstore.WriteSealed(s.batchPath(b.Name), b)
}

func (s *Store) readBatch(name string) (batch, error) {
	b := batch{Name: name}
	if err := runstore.ReadSealed(s.batchPath(name), &b); err != nil {
		return b, fmt.Errorf("what Slurm was given: %w", err)
	}
	return b, nil
}

// batches are those of the sweep, the oldest first.
func (s *Store) batches() ([]batch, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "batches"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read what Slurm was given: %w", err)
	}
	var all []batch
	for _, entry := range entries {
		name := entry.Name()
		if filepath.Ext(name) != ".json" {
			continue
		}
		b, err := s.readBatch(name[:len(name)-len(".json")])
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

// InSlurm tells whether any of the sweep was ever given to Slurm.
func (s *Store) InSlurm() (bool, error) {
	all, err := s.batches()
	return len(all) > 0, err
}

// LastCluster is the cluster as the sweep was last given to it, without binary.
func (s *Store) LastCluster() (Cluster, error) {
	all, err := s.batches()
	if err != nil {
		return Cluster{}, err
	}
	if len(all) == 0 {
		return Cluster{}, fault.Misuse("%s was never given to Slurm: a sweep of this machine is ended with Ctrl-C where it runs, and its own command goes on with it", s.dir)
	}
	last := all[len(all)-1]
	return Cluster{Store: s, Resources: last.Resources, AtOnce: last.AtOnce, Retries: last.Retries}, nil
}

// Submitted is what Submit gave to Slurm.
type Submitted struct {
	Done   int      `json:"done"`   // jobs that were done before
	Queued int      `json:"queued"` // that were in the queue before
	Now    int      `json:"now"`
	Arrays []string `json:"arrays"` // Slurm's numbers
	// Damaged are files of jobs that were done before, which are done again.
	Damaged []string `json:"damaged,omitempty"`
}

// Submit gives Slurm all jobs of the plan that are neither done nor in its queue.
// A job that needs another waits for it by Slurm's dependencies: on its own where
// the number of running jobs is not limited, else with all of its kind, since
// Slurm limits within one array only.
func (c *Cluster) Submit(ctx context.Context, p *Plan) (Submitted, error) {
	var sum Submitted
	if c.AtOnce < 0 {
		return sum, fault.Misuse("%d jobs at a time: wanted a whole number, 0 for no limit", c.AtOnce)
	}
	size, err := slurm.MaxArraySize(ctx)
	if err != nil {
		return sum, err
	}
	known, err := c.Store.Tasks(ctx)
	if err != nil {
		return sum, err
	}
	tasks := map[string]string{} // of jobs in the queue, by ID
	done := map[string]bool{}
	var first []*Job             // those that can start at once
	after := map[string][]*Job{} // by the ID of the job that they need
	var order []string           // of after's keys
	for _, job := range p.Jobs {
		if wrong, err := c.Store.Mend(job); err != nil {
			return sum, err
		} else if wrong != nil {
			sum.Damaged = append(sum.Damaged, wrong.Error())
		}
		state, err := c.Store.State(job)
		if err != nil {
			return sum, err
		}
		if state.Status == StatusDone {
			done[job.ID] = true
			sum.Done++
			continue
		}
		if t := known[job.ID]; t.Live() {
			tasks[job.ID] = t.ID
			sum.Queued++
			continue
		}
		if job.Config != nil {
			own := *job.Config
			own.Threads = max(1, c.Resources.CPUs)
			if _, err := c.Store.writeConfig(job, &own); err != nil {
				return sum, err
			}
		}
		if job.Needs == "" || done[job.Needs] {
			first = append(first, job)
			continue
		}
		if after[job.Needs] == nil {
			order = append(order, job.Needs)
		}
		after[job.Needs] = append(after[job.Needs], job)
	}
	if err := c.submit(ctx, &sum, first, "", size, tasks); err != nil {
		return sum, err
	}
	if c.AtOnce > 0 {
		var all []*Job
		for _, need := range order {
			all = append(all, after[need]...)
		}
		return sum, c.submit(ctx, &sum, all, c.behind(sum, order, tasks), size, tasks)
	}
	for _, need := range order {
		if err := c.submit(ctx, &sum, after[need], "afterok:"+tasks[need], size, tasks); err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// behind is the dependency on all jobs that others need, however they end: those
// whose model is missing say so themselves.
func (c *Cluster) behind(sum Submitted, needs []string, tasks map[string]string) string {
	text := ""
	seen := map[string]bool{}
	add := func(id string) {
		if id != "" && !seen[id] {
			seen[id] = true
			text += ":" + id
		}
	}
	for _, array := range sum.Arrays {
		add(array)
	}
	for _, need := range needs {
		if array, _, ok := cutTask(tasks[need]); ok && !seen[array] {
			add(tasks[need])
		}
	}
	if text == "" {
		return ""
	}
	return "afterany" + text
}

// submit gives jobs to Slurm in arrays that it takes, and adds them to tasks.
func (c *Cluster) submit(ctx context.Context, sum *Submitted, jobs []*Job, after string, size int, tasks map[string]string) error {
	for part := range slices.Chunk(jobs, size) {
		b := batch{
			Retries: c.Retries, AtOnce: c.AtOnce, Resources: c.Resources, Submitted: time.Now().UTC().Truncate(time.Second),
		}
		for _, job := range part {
			b.Jobs = append(b.Jobs, job.ID)
		}
		if err := c.submitBatch(ctx, &b, after); err != nil {
			if len(sum.Arrays) > 0 {
				return fmt.Errorf("%w; %d jobs are in the queue, the same command adds the others", err, sum.Now)
			}
			return err
		}
		for i, job := range part {
			tasks[job.ID] = b.Array + "_" + strconv.Itoa(i)
		}
		sum.Now += len(part)
		sum.Arrays = append(sum.Arrays, b.Array)
		if c.AtOnce > 0 {
			after = "afterany:" + b.Array // the limit holds within an array
		}
	}
	return nil
}

func (c *Cluster) submitBatch(ctx context.Context, b *batch, after string) error {
	before, err := c.Store.batches()
	if err != nil {
		return err
	}
	next := 1
	if len(before) > 0 {
		last, _ := strconv.Atoi(before[len(before)-1].Name)
		next = last + 1
	}
	b.Name = fmt.Sprintf("%05d", next)
	dir, err := filepath.Abs(c.Store.dir)
	if err != nil {
		return fmt.Errorf("find the sweep's folder: %w", err)
	}
	key, err := digest(dir)
	if err != nil {
		return err
	}
	b.Label = "ulrl-" + key[:6] + "-" + b.Name
	if err := c.Store.writeBatch(*b); err != nil {
		return err
	}
	b.Array, err = slurm.Submit(ctx, slurm.Array{
		Name: b.Label, Size: len(b.Jobs), AtOnce: c.AtOnce, After: after, Log: filepath.Join(dir, "logs", "slurm-%A_%a.log"),
		Command: []string{c.Binary, "sweep", "work", dir, "--batch", b.Name}, Resources: c.Resources,
	})
	if err != nil {
		if slurm.Refused(err) { // else it may be in the queue, and is known there by its label
			_ = os.Remove(c.Store.batchPath(b.Name))
		}
		return err
	}
	return c.Store.writeBatch(*b)
}
