package sweep

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
)

// Kinds of jobs.
const (
	KindAttack = "attack" // trains a backdoored model
	KindClean  = "clean"  // cleans one
)

// Job is a process's worth of work.
type Job struct {
	ID      string            `json:"id"` // its name for people and for files
	Kind    string            `json:"kind"`
	Name    string            `json:"name"`   // the config's
	Attack  string            `json:"attack"` // attack.name
	Seed    uint64            `json:"seed"`
	Setting map[string]string `json:"setting,omitempty"` // its point of the grid
	Key     string            `json:"key"`               // hash of all that it follows from
	Dir     string            `json:"dir"`               // where its result goes
	Needs   string            `json:"needs,omitempty"`   // ID of the job that goes first

	// Config is the resolved config; not for jobs that were read from a file.
	Config *config.Config `json:"-"`
}

// SettingText is the job's setting as KEY=VALUE, sorted.
func (j *Job) SettingText() string {
	parts := make([]string, 0, len(j.Setting))
	for key, value := range j.Setting {
		parts = append(parts, key+"="+value)
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// Plan is the jobs of a sweep; each stands behind the one that it needs.
type Plan struct {
	Spec Spec   `json:"spec"`
	Jobs []*Job `json:"jobs"`
}

// NewPlan expands a spec; the results of cleaning go below dir. opt has the
// environment; the spec's profile and sets take the place of its own.
func NewPlan(ctx context.Context, spec Spec, dir string, opt config.Options) (*Plan, error) {
	if len(spec.Configs) == 0 {
		return nil, fault.Misuse("no config to sweep over: name some, such as configs/*.yaml")
	}
	// Results are looked for from other folders, too.
	var err error
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("find the sweep's folder: %w", err)
	}
	if spec.Models, err = filepath.Abs(spec.Models); err != nil {
		return nil, fmt.Errorf("find the models' folder: %w", err)
	}
	p := planner{spec: spec, dir: dir, inputs: newInputs(), known: map[string]*Job{}}
	opt.Profile, opt.Sets = spec.Profile, spec.Sets
	for _, path := range spec.Configs {
		layers := config.Open(path, opt)
		for _, point := range spec.settings() {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			c, err := layers.With("--grid", point.sets())
			if err != nil {
				return nil, err
			}
			if err := p.add(c, point); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return &Plan{Spec: spec, Jobs: p.jobs}, nil
}

type planner struct {
	spec   Spec
	dir    string
	inputs *inputs
	known  map[string]*Job // by kind and key
	jobs   []*Job
}

// add adds a config's jobs, one for each seed.
func (p *planner) add(c *config.Config, point setting) error {
	seeds := p.spec.Seeds
	if len(seeds) == 0 {
		seeds = []uint64{c.Seed}
	}
	for _, seed := range seeds {
		own := *c
		own.Seed = seed
		if err := p.addOne(&own, point); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) addOne(c *config.Config, point setting) error {
	attackKey, err := p.inputs.attackKey(c)
	if err != nil {
		return err
	}
	job := &Job{Kind: KindClean, Name: c.Name, Attack: c.Attack.Name, Seed: c.Seed, Setting: point.fields(), Config: c}
	if c.Model.Path == "" {
		if !c.Attack.Makes() {
			return fault.Misuse("it names no model: set model.path, or an attack that makes one")
		}
		attack := p.attack(c, attackKey)
		job.Needs = attack.ID
		c.Attack.Output = attack.Dir
	}
	if job.Key, err = p.inputs.cleanKey(c, attackKey); err != nil {
		return err
	}
	job.ID = c.Name + "-" + job.Key[:10]
	job.Dir = runDir(p.dir, job)
	c.Output = job.Dir
	if p.known[job.ID] == nil {
		p.known[job.ID] = job
		p.jobs = append(p.jobs, job)
	}
	return nil
}

func runDir(sweep string, job *Job) string { return filepath.Join(sweep, "runs", job.ID) }

// attack is the job that makes c's model.
func (p *planner) attack(c *config.Config, key string) *Job {
	id := "attack-" + c.Attack.Name + "-" + key[:10]
	if job := p.known[id]; job != nil {
		return job
	}
	own := *c
	job := &Job{
		ID: id, Kind: KindAttack, Name: c.Name, Attack: c.Attack.Name, Seed: c.Seed, Key: key, Config: &own,
		Dir: filepath.Join(p.spec.Models, c.Attack.Name+"-"+key[:10]),
	}
	own.Attack.Output = job.Dir
	p.known[id] = job
	p.jobs = append(p.jobs, job)
	return job
}
