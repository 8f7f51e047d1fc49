package sweep

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/slurm"
	"ulrl/pipeline/testenv"
)

// cluster is an executor on the real Slurm, whose jobs are over when the test is.
func (s *site) cluster(r slurm.Resources) *Cluster {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	store, err := OpenStore(s.path("sweep"))
	if err != nil {
		s.t.Fatal(err)
	}
	if r.Mem == "" {
		r.Mem = "800M"
	}
	s.t.Cleanup(func() {
		if _, err := store.Cancel(context.Background()); err != nil {
			s.t.Error(err)
		}
		s.until("all is out of the queue", func() bool { return store.NotQueued(context.Background()) == nil })
	})
	return &Cluster{Store: store, Binary: path, Resources: r}
}

// endless is the spec of a job that is still at it when it is looked at.
func (s *site) endless() Spec {
	spec := s.spec()
	spec.Sets = []string{"attack.train.epochs=10000"}
	return spec
}

func (s *site) submit(c *Cluster, p *Plan) Submitted {
	s.t.Helper()
	if err := c.Store.SavePlan(p); err != nil {
		s.t.Fatal(err)
	}
	sum, err := c.Submit(context.Background(), p)
	if err != nil {
		s.t.Fatal(err)
	}
	return sum
}

func (s *site) states(p *Plan) []State {
	s.t.Helper()
	states, err := newStore(s.path("sweep")).States(context.Background(), p)
	if err != nil {
		s.t.Fatal(err)
	}
	return states
}

func (s *site) until(what string, so func() bool) {
	s.t.Helper()
	for end := time.Now().Add(150 * time.Second); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		if so() {
			return
		}
	}
	s.t.Fatalf("waited in vain until %s", what)
}

// untilState waits until the first job is so, with words in its error.
func (s *site) untilState(p *Plan, status, words string) {
	s.t.Helper()
	var last State
	defer func() {
		if s.t.Failed() {
			s.t.Logf("at last: %+v", last)
		}
	}()
	s.until(status+" "+words, func() bool {
		last = s.states(p)[0]
		return last.Status == status && strings.Contains(last.Error, words)
	})
}

func TestSlurmWorksAPlanOff(t *testing.T) {
	testenv.Slurm(t)
	for _, atOnce := range []int{0, 1} {
		s := newSite(t)
		spec := s.spec()
		spec.Seeds = []uint64{1, 2}
		p := s.plan(spec)
		c := s.cluster(slurm.Resources{CPUs: 1})
		c.AtOnce = atOnce
		if sum := s.submit(c, p); sum.Now != 4 || sum.Done != 0 {
			t.Fatalf("submitted %+v, wanted all four", sum)
		}
		if sum := s.submit(c, p); sum.Now != 0 || sum.Queued != 4 {
			t.Errorf("submitted again: %+v, wanted none of the four", sum)
		}
		if err := c.Store.NotQueued(context.Background()); !fault.IsMisuse(err) {
			t.Errorf("another executor may start: %v", err)
		}
		var heard []Event
		sum, err := c.Store.Wait(context.Background(), p, 2, 300*time.Millisecond, func(e Event) { heard = append(heard, e) })
		if err != nil || sum.Done != 4 {
			t.Fatalf("%+v %v, states %+v", sum, err, s.states(p))
		}
		if count(heard, EventDone) != 4 {
			t.Errorf("heard of %d jobs that were done: %+v", count(heard, EventDone), heard)
		}
		if sum := s.submit(c, s.plan(spec)); sum.Now != 0 || sum.Done != 4 {
			t.Errorf("submitted what is done: %+v", sum)
		}
		for _, job := range p.Jobs {
			if state, err := c.Store.State(job); err != nil || state.Node == "" || state.Task == "" {
				t.Errorf("%s: %+v %v, wanted where it ran", job.ID, state, err)
			}
		}
	}
}

func TestSlurmFaultsAreToldApart(t *testing.T) {
	testenv.Slurm(t)
	cases := map[string]struct {
		given         slurm.Resources
		meddle        func(s *site, c *Cluster, p *Plan)
		status, words string
		second        string // words of the job that needs it
	}{
		"cancelled": {
			meddle: func(s *site, c *Cluster, p *Plan) {
				s.untilState(p, StatusRunning, "")
				s.command("scancel", s.states(p)[0].Task)
			},
			status: StatusInterrupted, words: slurm.StopCancelled, second: slurm.StopCancelled,
		},
		"cancelled by ulrl while it waits": {
			given: slurm.Resources{Extra: []string{"--hold"}},
			meddle: func(s *site, c *Cluster, p *Plan) {
				s.untilState(p, StatusWaiting, "JobHeldUser")
				if n, err := c.Store.Cancel(context.Background()); err != nil || n != 2 {
					s.t.Errorf("cancelled %d, %v", n, err)
				}
			},
			status: StatusInterrupted, words: slurm.StopCancelled, second: slurm.StopCancelled,
		},
		"time limit": {given: slurm.Resources{Time: "1"}, status: StatusInterrupted, words: slurm.StopTimeLimit},
		"memory":     {given: slurm.Resources{Mem: "90M"}, status: StatusFailed, words: "GB of memory", second: "not started, since attack-badnets-"},
		"killed": {
			meddle: func(s *site, c *Cluster, p *Plan) {
				s.untilState(p, StatusRunning, "")
				time.Sleep(time.Second)
				s.command("pkill", "-9", "-f", "sweep work "+s.path("sweep"))
			},
			status: StatusInterrupted, words: "without a word (Slurm: FAILED)",
		},
		"preempted": {
			given: slurm.Resources{Partition: "main"},
			meddle: func(s *site, c *Cluster, p *Plan) {
				s.untilState(p, StatusRunning, "")
				time.Sleep(2 * time.Second)
				s.command("sbatch", "--partition=urgent", "--exclusive", "--mem=100M", "--output=/dev/null", "--wrap=sleep 5")
			},
			status: StatusWaiting, words: "once " + slurm.StopPreempted,
		},
		"node drained": {
			meddle: func(s *site, c *Cluster, p *Plan) {
				s.untilState(p, StatusRunning, "")
				s.node("state=drain", "reason=test")
				s.t.Cleanup(func() { s.node("state=resume") })
				if _, err := c.Store.Cancel(context.Background()); err != nil {
					s.t.Error(err)
				}
				s.until("it has stopped", func() bool { return c.Store.NotQueued(context.Background()) == nil })
				s.submit(c, p)
			},
			status: StatusWaiting, words: "DRAINED",
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			p := s.plan(s.endless())
			c := s.cluster(test.given)
			s.submit(c, p)
			if test.meddle != nil {
				test.meddle(s, c, p)
			}
			s.untilState(p, test.status, test.words)
			if test.second != "" {
				s.until("the other "+test.second, func() bool { return strings.Contains(s.states(p)[1].Error, test.second) })
			}
		})
	}
}

// What failed for want of memory is done when it is given enough.
func TestSlurmRetryFinishesTheRest(t *testing.T) {
	testenv.Slurm(t)
	s := newSite(t)
	p := s.plan(s.spec())
	s.submit(s.cluster(slurm.Resources{Mem: "90M"}), p)
	s.untilState(p, StatusFailed, "memory")
	s.until("the queue is empty", func() bool { return newStore(s.path("sweep")).NotQueued(context.Background()) == nil })

	store, read, err := ReadStore(s.path("sweep"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := store.LastCluster()
	if err != nil {
		t.Fatal(err)
	}
	if c.Resources.Mem != "90M" {
		t.Errorf("the cluster as it was: %+v", c.Resources)
	}
	c.Resources.Mem = "800M"
	if c.Binary, err = binary(); err != nil {
		t.Fatal(err)
	}
	if sum, err := c.Submit(context.Background(), read); err != nil || sum.Now != 2 {
		t.Fatalf("%+v %v", sum, err)
	}
	sum, err := store.Wait(context.Background(), read, 1, 300*time.Millisecond, func(Event) {})
	if err != nil || sum.Done != 2 {
		t.Errorf("%+v %v: %+v", sum, err, s.states(p))
	}
}

func TestSlurmRefusalIsPassedOn(t *testing.T) {
	testenv.Slurm(t)
	s := newSite(t)
	p := s.plan(s.spec())
	c := s.cluster(slurm.Resources{Partition: "nowhere"})
	_, err := c.Submit(context.Background(), p)
	if err == nil || !strings.Contains(err.Error(), "sbatch: ") || !strings.Contains(err.Error(), "invalid partition") {
		t.Errorf("%v, wanted sbatch's own words", err)
	}
	if in, err := c.Store.InSlurm(); in || err != nil {
		t.Errorf("a refused array is kept as submitted (%v)", err)
	}
}

func TestWithoutSlurmOneLineSaysSo(t *testing.T) {
	s := newSite(t)
	p := s.plan(s.spec())
	store, err := OpenStore(s.path("sweep"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", s.dir)
	_, err = (&Cluster{Store: store}).Submit(context.Background(), p)
	if !fault.IsMisuse(err) || !strings.Contains(err.Error(), "is not here, one of Slurm's commands") {
		t.Errorf("%v", err)
	}

	// A folder copied from the cluster can still be read, though not worked on.
	if err := store.writeBatch(batch{Name: "00001", Jobs: []string{p.Jobs[0].ID}, Array: "1"}); err != nil {
		t.Fatal(err)
	}
	states, err := store.States(context.Background(), p)
	if err != nil || states[0].Status != StatusWaiting {
		t.Errorf("%+v, %v", states, err)
	}
	if err := store.NotQueued(context.Background()); !fault.IsMisuse(err) {
		t.Errorf("a sweep that may be in a queue is free to work on: %v", err)
	}
}

func (s *site) command(name string, args ...string) {
	s.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// node updates this machine's node in Slurm.
func (s *site) node(what ...string) {
	s.t.Helper()
	host, err := os.Hostname()
	if err != nil {
		s.t.Fatal(err)
	}
	host, _, _ = strings.Cut(host, ".")
	s.command("scontrol", append([]string{"update", "nodename=" + host}, what...)...)
}
