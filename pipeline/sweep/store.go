package sweep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/runstore"
)

// FilePlan is the plan in a sweep's directory.
const FilePlan = "sweep.json"

// storeVersion is that of the directory's form.
const storeVersion = 1

// Store is a sweep's directory: sweep.json, configs/, logs/, states/, runs/ and,
// for what Slurm was given, batches/.
type Store struct {
	dir  string
	live func() bool // whether a process works on it
}

func newStore(dir string) *Store {
	return &Store{dir, sync.OnceValue(func() bool { return runstore.Held(dir) })}
}

// planFile is sweep.json.
type planFile struct {
	Version int       `json:"version"`
	Written time.Time `json:"written"`
	*Plan
}

// Status of a job.
const (
	StatusWaiting     = "waiting"
	StatusRunning     = "running"
	StatusDone        = "done"
	StatusFailed      = "failed"
	StatusInterrupted = "interrupted"
)

// State is what is known of a job.
type State struct {
	Status   string    `json:"status"`
	Attempts int       `json:"attempts"`
	Error    string    `json:"error,omitempty"`
	Misuse   bool      `json:"misuse,omitempty"` // the same would happen again
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds,omitempty"`
	Task     string    `json:"task,omitempty"` // of Slurm, as ARRAY_INDEX
	Node     string    `json:"node,omitempty"`
}

// processGone is why a job that nothing is known to work on is interrupted.
const processGone = "the process is gone"

// gone tells whether the state was only inferred, from a process that is not there.
func (s State) gone() bool { return s.Error == processGone }

// OpenStore makes or takes the directory of a sweep; what holds something else is refused.
func OpenStore(dir string) (*Store, error) {
	if err := runstore.CheckOurs(dir, FilePlan, "states"); err != nil {
		return nil, fault.Misuse("sweep directory: %w", err)
	}
	for _, sub := range []string{"states", "configs", "logs", "runs", "batches"} { // the first is what it is known by
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fault.Misuse("sweep directory: %w", err)
		}
	}
	return newStore(dir), nil
}

// Lock takes the directory for this process until the function that it gives
// is called.
func (s *Store) Lock() (func(), error) { return runstore.LockDir(s.dir) }

// ReadStore opens the directory of an earlier sweep with its plan, whose jobs
// have no configs.
func ReadStore(dir string) (*Store, *Plan, error) {
	path := filepath.Join(dir, FilePlan)
	file := planFile{Plan: &Plan{}}
	switch err := runstore.ReadSealed(path, &file); {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, nil, fault.Misuse("%s is no sweep's directory: there is no %s", dir, FilePlan)
	case errors.Is(err, runstore.ErrDamaged):
		return nil, nil, fault.Misuse("%w: remove it, and the sweep's own command makes it again", err)
	case err != nil:
		return nil, nil, fmt.Errorf("read the sweep: %w", err)
	}
	if file.Version != storeVersion {
		return nil, nil, fault.Misuse("%s is of version %d, this ulrl knows %d: use the ulrl that made it", path, file.Version, storeVersion)
	}
	for _, job := range file.Jobs {
		if job.Kind == KindClean {
			job.Dir = runDir(dir, job) // the folder may have been moved
		}
	}
	return newStore(dir), file.Plan, nil
}

// SavePlan writes the plan; one of another version is not overwritten.
func (s *Store) SavePlan(p *Plan) error {
	path := filepath.Join(s.dir, FilePlan)
	if _, err := os.Stat(path); err == nil {
		if _, _, err := ReadStore(s.dir); err != nil {
			return err
		}
	}
	return runstore.WriteSealed(path, planFile{storeVersion, time.Now().UTC().Truncate(time.Second), p})
}

// LogPath is where a job's output goes.
func (s *Store) LogPath(j *Job) string { return filepath.Join(s.dir, "logs", j.ID+".log") }

func (s *Store) statePath(j *Job) string { return filepath.Join(s.dir, "states", j.ID+".json") }

func (s *Store) configPath(j *Job) string { return filepath.Join(s.dir, "configs", j.ID+".yaml") }

// writeConfig leaves the job's config for its process.
func (s *Store) writeConfig(j *Job, c *config.Config) (string, error) {
	path := s.configPath(j)
	text, err := c.YAML()
	if err != nil {
		return "", err
	}
	return path, runstore.WriteFileAtomic(path, text, 0o644)
}

func (s *Store) setState(j *Job, state State) error {
	return runstore.WriteSealed(s.statePath(j), state)
}

// State tells how a job stands: by its result if that is there, else by what
// was noted of its attempts. What a killed sweep left as running is interrupted.
func (s *Store) State(j *Job) (State, error) {
	var state State
	switch err := runstore.ReadSealed(s.statePath(j), &state); {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, runstore.ErrDamaged):
		// What was noted is lost; the result, if there is one, tells all the same.
		state = State{Status: StatusWaiting}
	case err != nil:
		return state, fmt.Errorf("the state of %s: %w", j.ID, err)
	}
	done, err := finished(j)
	switch {
	case err != nil:
		return state, err
	case done:
		state.Status, state.Error = StatusDone, ""
	case state.Status == StatusDone:
		state.Status = StatusWaiting // its result was removed
	case state.Status == StatusRunning && !s.live():
		state.Status, state.Error = StatusInterrupted, processGone
	}
	return state, nil
}

// Mend looks at all files of a job that left any. Where one is damaged it puts what
// makes the job count as done aside, with the ending .damaged, so that it is done
// again, and tells what was wrong.
func (s *Store) Mend(j *Job) (wrong error, err error) {
	description, proof := runstore.FileResult, runstore.FileResult
	if j.Kind == KindAttack {
		description, proof = config.AttackFile, config.BackdooredFile
	}
	path := filepath.Join(j.Dir, proof)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	wrong = runstore.CheckFiles(j.Dir, description)
	switch {
	case wrong == nil, errors.Is(wrong, fs.ErrNotExist): // a model that somebody put there has no description
		return nil, nil
	case !errors.Is(wrong, runstore.ErrDamaged):
		return nil, wrong
	}
	if err := os.Rename(path, path+".damaged"); err != nil {
		return wrong, fmt.Errorf("put a damaged file aside: %w", err)
	}
	return wrong, nil
}

// finished tells whether a job's result is there, whole.
func finished(j *Job) (bool, error) {
	if j.Kind == KindAttack {
		_, err := os.Stat(filepath.Join(j.Dir, config.BackdooredFile)) // written last
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	}
	if _, err := os.Stat(filepath.Join(j.Dir, runstore.FileResult)); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	result, err := runstore.ReadResult(j.Dir)
	if errors.Is(err, runstore.ErrDamaged) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return result.Status == runstore.StatusComplete, nil
}
