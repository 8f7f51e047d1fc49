package sweep

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/slurm"
)

// place is where in Slurm a process is, by its environment.
type place struct {
	task     string // ARRAY_INDEX
	index    int
	job      string // as scontrol knows it
	node     string
	restarts int   // how often it was put back in the queue
	memory   int64 // bytes; 0: no limit
}

func whereabouts(getenv func(string) string) (place, error) {
	array, index := getenv("SLURM_ARRAY_JOB_ID"), getenv("SLURM_ARRAY_TASK_ID")
	n, err := strconv.Atoi(index)
	if err != nil || array == "" {
		return place{}, fault.Misuse("this is no job of a Slurm array (SLURM_ARRAY_TASK_ID %q): ulrl sweep --executor slurm starts it", index)
	}
	at := place{task: array + "_" + index, index: n, job: getenv("SLURM_JOB_ID"), node: getenv("SLURMD_NODENAME")}
	at.restarts, _ = strconv.Atoi(getenv("SLURM_RESTART_COUNT")) // not set at first
	if mib, err := strconv.ParseInt(getenv("SLURM_MEM_PER_NODE"), 10, 64); err == nil {
		// A little less, so that it is this program that says so, not the kernel.
		at.memory = mib << 20 / 100 * 97
	}
	return at, nil
}

// stopped is why a job was told to stop; Slurm is asked while the worker stops.
type stopped struct{ why func() string }

func (s *stopped) Error() string { return s.why() }

// WorkTask does, within a job of Slurm, the job of the sweep in dir that the
// batch has for it. signals are those that ask it to stop.
func WorkTask(ctx context.Context, dir, batchName, binary string, environ []string, signals <-chan os.Signal, watch func(Event)) error {
	at, err := whereabouts(lookup(environ))
	if err != nil {
		return err
	}
	store, plan, err := ReadStore(dir)
	if err != nil {
		return err
	}
	b, err := store.readBatch(batchName)
	if err != nil {
		return err
	}
	if at.index >= len(b.Jobs) {
		return fmt.Errorf("batch %s has %d jobs, this is number %d", batchName, len(b.Jobs), at.index)
	}
	var job, needed *Job
	jobs := map[string]*Job{}
	for _, j := range plan.Jobs {
		jobs[j.ID] = j
	}
	if job = jobs[b.Jobs[at.index]]; job == nil {
		return fmt.Errorf("job %s is no longer in the sweep's plan", b.Jobs[at.index])
	}
	needed = jobs[job.Needs]
	state, err := store.State(job)
	if err != nil || state.Status == StatusDone {
		return err
	}
	begun := State{Status: StatusFailed, Task: at.task, Node: at.node, Started: time.Now().UTC()}
	if needed != nil {
		done, err := finished(needed)
		if err == nil && !done {
			err = fmt.Errorf("not started, since %s failed", job.Needs)
		}
		if err != nil {
			begun.Error = err.Error()
			return errors.Join(err, store.setState(job, begun))
		}
	}
	if job.Config, err = config.Open(store.configPath(job), config.Options{}).Load(); err != nil {
		begun.Error, begun.Misuse = err.Error(), true
		return errors.Join(err, store.setState(job, begun))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-signals:
		case <-ended:
			return
		}
		why := sync.OnceValue(func() string { return slurm.Why(context.WithoutCancel(ctx), at.job, at.restarts, time.Now()) })
		cancel(&stopped{why})
		why()
	}()
	l := Local{
		Store: store, Slots: []Slot{{}}, Binary: binary, Env: environ, Retries: b.Retries, Memory: at.memory,
		Grace: 20 * time.Second, Task: at.task, Node: at.node, Watch: watch,
	}
	// The worker dies with the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return l.work(ctx, 0, job)
}

func lookup(environ []string) func(string) string {
	return func(name string) string {
		for _, entry := range environ {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				return value
			}
		}
		return ""
	}
}
