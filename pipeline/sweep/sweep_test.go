package sweep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ulrl/pipeline/config"
	"ulrl/pipeline/cores"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/runstore"
	"ulrl/pipeline/testenv"
)

// binary builds ulrl once; workers are real processes.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ulrl-sweep-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "ulrl")
	out, err := exec.Command("go", "build", "-o", path, "ulrl/cmd/ulrl").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build ulrl: %w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// site is a folder with data and a config, small enough that a job takes a second.
type site struct {
	t   *testing.T
	dir string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t, t.TempDir()}
	testenv.SmallImages(t, s.path("data"))
	s.write("small.yaml", fmt.Sprintf(`
name: small
device: cpu
data: {name: custom, kind: folder, dir: %s, classes: 3, mean: [0.4], std: [0.2]}
clean: {count: 60}
attack:
  name: badnets
  arch: {width: 4}
  train: {samples: 0, epochs: 2, batch_size: 20, lr: 0.05, augment: false}
unlearn: {batch_size: 20, epochs: 2}
relearn: {batch_size: 20, epochs: 1, augment: false}
eval: {batch_size: 32}
`, s.path("data")))
	return s
}

func (s *site) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

func (s *site) write(name, text string) string {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return s.path(name)
}

func (s *site) spec() Spec {
	return Spec{Configs: []string{s.path("small.yaml")}, Models: s.path("models")}
}

func (s *site) plan(spec Spec) *Plan {
	s.t.Helper()
	p, err := NewPlan(context.Background(), spec, s.path("sweep"), config.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// local is an executor of two workers; it notes what it hears.
func (s *site) local(heard *[]Event) *Local {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	store, err := OpenStore(s.path("sweep"))
	if err != nil {
		s.t.Fatal(err)
	}
	slots, err := Slots(SlotOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return &Local{Store: store, Slots: slots[:min(2, len(slots))], Binary: path, Env: os.Environ(), Grace: 10 * time.Second,
		Watch: func(e Event) { *heard = append(*heard, e) }}
}

func count(heard []Event, what string) int {
	n := 0
	for _, e := range heard {
		if e.What == what {
			n++
		}
	}
	return n
}

func TestPlanIsConfigsTimesSeedsTimesGrid(t *testing.T) {
	s := newSite(t)
	spec := s.spec()
	spec.Seeds = []uint64{4, 5}
	spec.Grid = []Axis{{"relearn.lr", []string{"0.005", "0.01"}}, {"suspicious.ratio", []string{"0.1", "0.3", "0.5"}}}
	p := s.plan(spec)
	attacks, seen := map[string]*Job{}, map[string]bool{}
	cleanings := 0
	for _, job := range p.Jobs {
		if seen[job.ID] {
			t.Errorf("%s is there twice", job.ID)
		}
		seen[job.ID] = true
		if job.Kind == KindAttack {
			attacks[job.ID] = job
			continue
		}
		cleanings++
		need := attacks[job.Needs]
		if need == nil || need.Seed != job.Seed || job.Config.ModelPath() != filepath.Join(need.Dir, config.BackdooredFile) {
			t.Errorf("%s, seed %d, needs %+v and reads %s", job.ID, job.Seed, need, job.Config.ModelPath())
		}
		if fmt.Sprint(job.Config.Relearn.LR) != job.Setting["relearn.lr"] || fmt.Sprint(job.Config.Suspicious.Ratio) != job.Setting["suspicious.ratio"] {
			t.Errorf("%s has lr %v, ratio %v, but setting %v", job.ID, job.Config.Relearn.LR, job.Config.Suspicious.Ratio, job.Setting)
		}
	}
	if len(attacks) != 2 || cleanings != 12 {
		t.Errorf("%d attacks, %d cleanings", len(attacks), cleanings)
	}
	spec.Grid = []Axis{{"attack.poison_rate", []string{"0.1", "0.2"}}}
	if p := s.plan(spec); len(p.Jobs) != 8 {
		t.Errorf("a grid over the attack: %d jobs, want a model and a cleaning for each of 4", len(p.Jobs))
	}
}

// The trigger that measures a model of the user's own is what lies in attack.output: with
// another one the job is another.
func TestAKeyFollowsTheTrigger(t *testing.T) {
	s := newSite(t)
	spec := s.spec()
	spec.Sets = []string{"model.path=" + s.write("mine.pt", "weights"), "attack.output=" + s.dir}
	key := func() string {
		p := s.plan(spec)
		if len(p.Jobs) != 1 {
			t.Fatalf("%d jobs", len(p.Jobs))
		}
		return p.Jobs[0].Key
	}
	without := key()
	s.write(config.TriggerFile, "a patch")
	patch := key()
	if patch == without || patch != key() {
		t.Errorf("keys %s without, %s with a trigger, %s again", without, patch, key())
	}
	if s.write(config.TriggerFile, "a warp"); key() == patch {
		t.Error("another trigger has the same key")
	}
}

func TestPlanErrors(t *testing.T) {
	s := newSite(t)
	for name, change := range map[string]func(*Spec){
		"no config":             func(p *Spec) { p.Configs = nil },
		"no such file":          func(p *Spec) { p.Configs = []string{s.path("no.yaml")} },
		"names no model":        func(p *Spec) { p.Sets = []string{"attack.name=none"} },
		"relearn.lrr":           func(p *Spec) { p.Grid = []Axis{{"relearn.lrr", []string{"1"}}} },
		"mine.pt: no such file": func(p *Spec) { p.Sets = []string{"model.path=" + s.path("mine.pt")} },
		"nowhere: no such file": func(p *Spec) { p.Sets = []string{"data.dir=nowhere"} },
	} {
		spec := s.spec()
		change(&spec)
		if _, err := NewPlan(context.Background(), spec, s.path("sweep"), config.Options{}); err == nil || !fault.IsMisuse(err) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASweepRunsOnceAndGoesOn(t *testing.T) {
	s := newSite(t)
	spec := s.spec()
	spec.Seeds = []uint64{0, 1}
	var heard []Event
	sum, err := s.local(&heard).Run(context.Background(), s.plan(spec))
	if err != nil || sum != (Summary{Done: 4, Now: 4}) {
		t.Fatalf("%+v, %v: %+v", sum, err, heard)
	}
	p := s.plan(spec)
	for _, job := range p.Jobs {
		if state, err := s.local(&heard).Store.State(job); err != nil || state.Status != StatusDone || state.Attempts != 1 {
			t.Errorf("%s: %+v, %v", job.ID, state, err)
		}
	}
	if count(heard, EventProgress) == 0 {
		t.Error("no progress was told")
	}
	heard = nil
	if sum, err := s.local(&heard).Run(context.Background(), p); err != nil || sum != (Summary{Done: 4}) || len(heard) != 0 {
		t.Errorf("the second time: %+v, %v, %v", sum, err, heard)
	}
	if err := s.local(&heard).Store.SavePlan(p); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path("sweep"), s.path("moved")); err != nil {
		t.Fatal(err)
	}
	store, moved, err := ReadStore(s.path("moved"))
	if err != nil || len(moved.Jobs) != 4 {
		t.Fatalf("%+v, %v", moved, err)
	}
	for _, job := range moved.Jobs {
		if state, err := store.State(job); err != nil || state.Status != StatusDone {
			t.Errorf("moved: %s: %+v, %v", job.ID, state, err)
		}
	}
	if err := os.Rename(s.path("moved"), s.path("sweep")); err != nil {
		t.Fatal(err)
	}
	spec.Grid = []Axis{{"relearn.lr", []string{"0.02"}}}
	if sum, err := s.local(&heard).Run(context.Background(), s.plan(spec)); err != nil || sum != (Summary{Done: 4, Now: 2}) {
		t.Errorf("another setting on the same models: %+v, %v", sum, err)
	}
}

// Bits that flipped on a disk cost the jobs whose files they are in, and no other.
func TestDamagedJobsAreDoneAgain(t *testing.T) {
	s := newSite(t)
	spec := s.spec()
	spec.Seeds = []uint64{0, 1}
	var heard []Event
	p := s.plan(spec)
	if sum, err := s.local(&heard).Run(context.Background(), p); err != nil || sum.Done != 4 {
		t.Fatalf("%+v, %v", sum, err)
	}
	byKind := map[string][]*Job{}
	for _, job := range p.Jobs {
		byKind[job.Kind] = append(byKind[job.Kind], job)
	}
	attack, first, second := byKind[KindAttack][0], byKind[KindClean][0], byKind[KindClean][1]
	for path, at := range map[string]float64{
		filepath.Join(attack.Dir, config.BackdooredFile): 0.5,
		filepath.Join(first.Dir, runstore.FileCleaned):   0.5,
		filepath.Join(second.Dir, runstore.FileResult):   0.5,
		s.local(&heard).Store.statePath(second):          0.2,
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text[int(at*float64(len(text)))] ^= 4
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A report is of those that are whole.
	found, err := s.local(&heard).Store.Collect(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	for i, run := range found.Runs {
		if damaged := p.Jobs[i] == second; damaged != strings.Contains(run.Error, "it is damaged") || !run.Attack && damaged != (run.Result == nil) {
			t.Errorf("%s: %q, result %v", run.ID, run.Error, run.Result != nil)
		}
	}
	heard = nil
	if sum, err := s.local(&heard).Run(context.Background(), p); err != nil || sum != (Summary{Done: 4, Now: 3}) {
		t.Fatalf("%+v, %v: %+v", sum, err, heard)
	}
	var named []string
	for _, e := range heard {
		if e.What == EventDamaged {
			named = append(named, e.Err.Error())
		}
	}
	all := strings.Join(named, "\n")
	for _, name := range []string{runstore.FileCleaned, config.BackdooredFile, runstore.FileResult} {
		if len(named) != 3 || !strings.Contains(all, name+": it is damaged") {
			t.Errorf("%s: named were %q", name, named)
		}
	}
	for _, job := range p.Jobs {
		if wrong, err := s.local(&heard).Store.Mend(job); wrong != nil || err != nil {
			t.Errorf("%s: %v, %v", job.ID, wrong, err)
		}
	}
}

func TestFailuresCostTheirJobsAlone(t *testing.T) {
	s := newSite(t)
	bad := s.write("bad.yaml", "extends: small.yaml\nname: bad\nattack: {poison_rate: 0.001}\n")
	spec := s.spec()
	spec.Configs = append([]string{bad}, spec.Configs...)
	var heard []Event
	l := s.local(&heard)
	l.Retries = 3
	p := s.plan(spec)
	sum, err := l.Run(context.Background(), p)
	if err != nil || sum != (Summary{Done: 2, Now: 2, Failed: 1, Skipped: 1}) {
		t.Fatalf("%+v, %v", sum, err)
	}
	state, err := l.Store.State(p.Jobs[0])
	if err != nil || state.Status != StatusFailed || !state.Misuse || state.Attempts != 1 || !strings.Contains(state.Error, "attack.poison_rate 0.001 of 180 images is none") {
		t.Errorf("misuse is not tried again: %+v, %v", state, err)
	}
}

func TestMemoryIsALimit(t *testing.T) {
	s := newSite(t)
	var heard []Event
	l := s.local(&heard)
	l.Memory, l.Retries = 20e6, 1
	sum, err := l.Run(context.Background(), s.plan(s.spec()))
	if err != nil || sum != (Summary{Failed: 1, Skipped: 1}) || count(heard, EventRetry) != 1 {
		t.Fatalf("%+v, %v, %+v", sum, err, heard)
	}
	for _, e := range heard {
		if e.What == EventFailed && !strings.Contains(e.Err.Error(), "more than 0.0 GB of memory") {
			t.Errorf("it failed for %v", e.Err)
		}
	}
}

func TestAnInterruptedSweepGoesOn(t *testing.T) {
	s := newSite(t)
	spec := s.spec()
	spec.Seeds = []uint64{0, 1, 2}
	p := s.plan(spec)
	ctx, cancel := context.WithCancel(context.Background())
	var heard []Event
	l := s.local(&heard)
	l.Watch = func(e Event) {
		heard = append(heard, e)
		if e.What == EventProgress {
			cancel()
		}
	}
	sum, err := l.Run(ctx, p)
	if !errors.Is(err, context.Canceled) || sum.Waiting == 0 || sum.Failed != 0 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if sum, err := s.local(&heard).Run(context.Background(), p); err != nil || sum.Done != 6 {
		t.Errorf("afterwards: %+v, %v", sum, err)
	}
	wholeAndOnce(t, s, p)
}

// wholeAndOnce checks that every job left its result and nothing else lies about.
func wholeAndOnce(t *testing.T, s *site, p *Plan) {
	t.Helper()
	var want []string
	for _, job := range p.Jobs {
		if done, err := finished(job); err != nil || !done {
			t.Errorf("%s: done %v, %v", job.ID, done, err)
		}
		want = append(want, job.Dir)
	}
	var got []string
	for _, pattern := range []string{"models/*", "sweep/runs/*"} {
		dirs, err := filepath.Glob(s.path(pattern))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, dirs...)
	}
	if len(got) != len(want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	for _, dir := range got {
		for _, name := range []string{runstore.FileLock, "checkpoint.zip"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				t.Errorf("%s was left in %s", name, dir)
			}
		}
	}
}

// kill -9 of the sweep and of its workers, at moments spread over its time.
func TestKilledSweepsLoseNothing(t *testing.T) {
	s := newSite(t)
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	spec := s.spec()
	spec.Seeds = []uint64{0, 1}
	p := s.plan(spec)
	args := []string{"sweep", s.path("small.yaml"), "--seeds", "0,1", "--out", s.path("sweep"), "--models", s.path("models"), "--log-format", "text"}
	for kill := range 6 {
		cmd := exec.Command(path, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(300+400*kill) * time.Millisecond)
		if kill%2 == 0 {
			_ = cmd.Process.Kill()
		} else {
			killChildren(t, cmd.Process.Pid)
		}
		_ = cmd.Wait()
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	wholeAndOnce(t, s, p)
	if out, err := exec.Command(path, "sweep", "status", s.path("sweep")).CombinedOutput(); err != nil || !bytes.Contains(out, []byte("4 jobs: 4 done")) {
		t.Errorf("%v: %s", err, out)
	}
}

func killChildren(t *testing.T, pid int) {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		text, _ := os.ReadFile(list) // a thread may be gone
		for child := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(child); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

func TestStoresOfOthersAreRefused(t *testing.T) {
	s := newSite(t)
	if _, _, err := ReadStore(s.path("nowhere")); err == nil || !fault.IsMisuse(err) || !strings.Contains(err.Error(), "is no sweep's directory") {
		t.Error(err)
	}
	if err := os.Mkdir(s.path("images"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("images/cat.png", "")
	if _, err := OpenStore(s.path("images")); !fault.IsMisuse(err) || !strings.Contains(err.Error(), "holds something else (cat.png): choose another") {
		t.Errorf("a folder of images: %v", err)
	}
	store, err := OpenStore(s.path("sweep"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("sweep/sweep.json", `{"version": 0, "jobs": []}`)
	if err := store.SavePlan(&Plan{}); err == nil || !fault.IsMisuse(err) || !strings.Contains(err.Error(), "is of version 0") {
		t.Errorf("an older sweep: %v", err)
	}
	unlock, err := store.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Lock(); err == nil || !fault.IsMisuse(err) || !strings.Contains(err.Error(), "is in use by process") {
		t.Errorf("two at once: %v", err)
	}
	unlock()
	if unlock, err := store.Lock(); err != nil {
		t.Error(err)
	} else {
		unlock()
	}
}

func TestParseAxis(t *testing.T) {
	for text, want := range map[string][]string{
		"relearn.lr=0.005,0.01":             {"0.005", "0.01"},
		"suspicious.layers=[head],[a, b],c": {"[head]", "[a, b]", "c"},
		" k = 1 ":                           {"1"},
	} {
		if axis, err := ParseAxis(text); err != nil || !reflect.DeepEqual(axis.Values, want) {
			t.Errorf("%s: %q, %v", text, axis.Values, err)
		}
	}
	for _, text := range []string{"", "k", "k=", "=1", "k=1,", "k=,1", "k=[1,2"} {
		if _, err := ParseAxis(text); !fault.IsMisuse(err) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestSlotsShareTheMachineOut(t *testing.T) {
	usable, err := cores.Usable()
	if err != nil {
		t.Fatal(err)
	}
	slots, err := Slots(SlotOptions{})
	if err != nil || len(slots) != len(usable) {
		t.Fatalf("%+v, %v", slots, err)
	}
	seen := map[int]bool{}
	for _, slot := range slots {
		if len(slot.CPUs) != 1 || seen[slot.CPUs[0]] {
			t.Errorf("slots %+v", slots)
		}
		seen[slot.CPUs[0]] = true
	}
	if slots, err := Slots(SlotOptions{Threads: len(usable)}); err != nil || len(slots) != 1 {
		t.Errorf("all cores for one: %+v, %v", slots, err)
	}
	if slots, err := Slots(SlotOptions{Devices: []string{"cuda:0"}}); err != nil || len(slots) != 1 || slots[0].Device != "cuda:0" || len(slots[0].CPUs) != len(usable) {
		t.Errorf("a GPU: %+v, %v", slots, err)
	}
	for _, o := range []SlotOptions{{Threads: len(usable) + 1}, {Memory: 1 << 60}} {
		if _, err := Slots(o); !fault.IsMisuse(err) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
