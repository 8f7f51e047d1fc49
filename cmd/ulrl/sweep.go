package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/sweep"
)

// Executors.
const (
	executorLocal = "local"
	executorSlurm = "slurm"
)

func newSweepCommand(a *app) *cobra.Command {
	var o sweepOptions
	cmd := &cobra.Command{
		Use:   "sweep [CONFIG...]",
		Short: "Clean many models: configs × seeds × a grid of settings",
		Long: `sweep trains the backdoored models that the configs describe and cleans them,
over seeds and a grid of settings, in several processes at once. What is done is
not done again: the same command goes on with a sweep that was interrupted, and
a wider one adds to it.`,
		Example: `  ulrl sweep configs/*.yaml --seeds 0,1,2 --dry-run
  ulrl sweep configs/*.yaml --seeds 0,1,2 --grid relearn.lr=0.005,0.01
  ulrl sweep configs/*.yaml --executor slurm --cluster partition=cpu --cluster time=60
  ulrl sweep status runs/sweep`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.File != "" {
				file, err := readSweepFile(o.File)
				if err != nil {
					return err
				}
				o.fill(cmd.Flags(), file)
				if len(args) == 0 {
					args = file.Configs
				}
			}
			if err := o.check(cmd.Flags()); err != nil {
				return err
			}
			return runSweep(cmd.Context(), a, o, args)
		},
		ValidArgsFunction: cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt),
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&o.File, "file", "f", "", "take from `FILE`, in YAML, what is not given here: configs, and flags by name")
	f.StringVar(&o.Seeds, "seeds", "", "`SEEDS`, as 0,1,2 or 0-9; else each config's own")
	f.StringArrayVar(&o.Grid, "grid", nil, "a setting's values in turn, `KEY=VALUE,VALUE` (repeatable: all combinations)")
	o.register(cmd)
	f.StringVarP(&o.Out, "out", "o", "runs/sweep", "`FOLDER` of the sweep")
	f.StringVar(&o.Models, "models", "models/sweep", "`FOLDER` of the attacks' models, which sweeps share")
	f.BoolVar(&o.DryRun, "dry-run", false, "show the plan, run nothing")
	f.IntVar(&o.Workers, "workers", 0, "processes at once; else as many as there are cores for")
	f.IntVar(&o.Threads, "threads", 0, "cores of each process, which it is pinned to; else 1, on GPUs their share")
	f.StringVar(&o.Memory, "memory", "2G", "memory of each process; 0: no limit")
	f.StringSliceVar(&o.Devices, "devices", nil, "`DEVICES` for one process each, such as cuda:0,cuda:1")
	a.registerTrust(cmd)
	f.IntVar(&o.Retries, "retries", 1, "how often a job that fails is tried again")
	f.StringVar(&o.Executor, "executor", executorLocal, "what runs the jobs: local (this machine) or slurm (a cluster)")
	registerCluster(cmd, &o.Cluster, &o.AtOnce, &o.Wait)
	a.registerJSON(cmd)
	cmd.AddCommand(newSweepStatusCommand(a), newSweepCancelCommand(a), newSweepRetryCommand(a), newSweepLogsCommand(a), newSweepWorkCommand(a))
	return cmd
}

// sweepReport is what a sweep came to.
type sweepReport struct {
	Directory string `json:"directory"`
	Report    string `json:"report"` // "" where it could not be written
	sweep.Summary
}

func runSweep(ctx context.Context, a *app, o sweepOptions, configs []string) error {
	spec, err := o.spec(configs)
	if err != nil {
		return err
	}
	memory, err := o.memory()
	if err != nil {
		return err
	}
	if o.Executor == executorSlurm {
		return runClusterSweep(ctx, a, o, spec)
	}
	slots, err := sweep.Slots(sweep.SlotOptions{Workers: o.Workers, Threads: o.Threads, Devices: o.Devices, Memory: memory})
	if err != nil {
		return err
	}
	plan, err := sweep.NewPlan(ctx, spec, o.Out, config.Options{Env: a.environ})
	if err != nil {
		return err
	}
	if o.DryRun {
		return showPlan(a, o.Out, plan, len(slots))
	}
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's file: %w", err)
	}
	store, err := sweep.OpenStore(o.Out)
	if err != nil {
		return err
	}
	unlock, err := store.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := store.NotQueued(ctx); err != nil {
		return err
	}
	if err := store.SavePlan(plan); err != nil {
		return err
	}
	view, err := newSweepView(a, store, plan, len(slots), fmt.Sprintf(", %d at a time", len(slots)))
	if err != nil {
		return err
	}
	local := sweep.Local{
		Store: store, Slots: slots, Binary: binary, Env: a.workerEnv(), Retries: o.Retries, Memory: memory,
		Grace: 30 * time.Second, Watch: view.hear,
	}
	sum, err := local.Run(ctx, plan)
	view.end()
	report := sweepReport{Directory: o.Out, Summary: sum}
	// Also of a sweep that was interrupted: its context is over.
	page, pageErr := store.WriteReport(context.WithoutCancel(ctx), plan)
	if pageErr == nil {
		report.Report = page
	}
	switch {
	case err != nil:
		return &reported{fmt.Errorf("sweep: %w; the same command goes on with it", err), report}
	case sum.Failed+sum.Skipped > 0:
		return &reported{fmt.Errorf("%d jobs failed, %d were skipped for it: ulrl sweep status %s", sum.Failed, sum.Skipped, o.Out), report}
	}
	if pageErr != nil {
		return &reported{pageErr, report}
	}
	return a.show(report, func(w io.Writer) {
		fmt.Fprintf(w, "%d jobs are done, %d of them now\n\nFiles\n  %s  what was found\n", sum.Done, sum.Now, printable(page))
	})
}

// workerEnv is the environment without config keys: what they say is in a
// worker's config already, under what the sweep says.
func (a *app) workerEnv() []string {
	environ := a.environ
	if a.confined.Trust {
		environ = append(slices.Clone(environ), envTrust+"=1")
	}
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		return strings.HasPrefix(entry, "ULRL_") && !strings.HasPrefix(entry, "ULRL_TEST_") && !strings.HasPrefix(entry, envTrust+"=")
	})
}

// planReport is a plan for people and machines.
type planReport struct {
	Directory string       `json:"directory"`
	Attacks   int          `json:"attacks"`
	Cleanings int          `json:"cleanings"`
	Done      int          `json:"done"`
	Workers   int          `json:"workers"` // 0: as many as Slurm lets run
	Seconds   *float64     `json:"seconds"` // what is left will take; null where nothing of its kind has run
	Jobs      []*sweep.Job `json:"jobs"`
}

// showPlan shows what a sweep would do, so many jobs at a time; 0: as Slurm likes.
func showPlan(a *app, dir string, plan *sweep.Plan, workers int) error {
	estimate, err := sweep.Estimated(dir, plan, workers)
	if err != nil {
		return err
	}
	r := planReport{Directory: dir, Workers: workers, Done: estimate.Done, Seconds: estimate.Seconds, Jobs: plan.Jobs}
	for _, job := range plan.Jobs {
		if job.Kind == sweep.KindAttack {
			r.Attacks++
		} else {
			r.Cleanings++
		}
	}
	pace := "as many as Slurm lets run"
	if workers > 0 {
		pace = strconv.Itoa(workers)
	}
	return a.show(r, func(w io.Writer) {
		rows := [][]string{{"job", "seed", "setting", ""}}
		for i, job := range plan.Jobs {
			if i == shownJobs {
				rows = append(rows, []string{fmt.Sprintf("… and %d more", len(plan.Jobs)-i), "", "", ""})
				break
			}
			rows = append(rows, []string{printable(job.ID), fmt.Sprint(job.Seed), printable(job.SettingText()), estimate.Status[job.ID]})
		}
		table(w, rows)
		fmt.Fprintf(w, "\n%d models to train, %d to clean, %d of these jobs done; %s at a time", r.Attacks, r.Cleanings, r.Done, pace)
		if r.Seconds != nil {
			fmt.Fprintf(w, ", about %s", seconds(*r.Seconds))
		}
		fmt.Fprintln(w)
	})
}

// shownJobs is how many jobs a plan or a status lists.
const shownJobs = 60

func newSweepStatusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status FOLDER",
		Short: "How far a sweep is, and what failed in it",
		Args:  oneSweep,
		RunE:  func(cmd *cobra.Command, args []string) error { return runSweepStatus(cmd.Context(), a, args[0]) },
	}
	a.registerJSON(cmd)
	return cmd
}

// jobStatus is a job and how it stands.
type jobStatus struct {
	*sweep.Job
	sweep.State
	Log string `json:"log,omitempty"`
}

// MarshalJSON is both's fields in one object; embedding alone would let one
// Job's method, should it get any, hide the state.
func (s jobStatus) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		*sweep.Job
		sweep.State
		Log string `json:"log,omitempty"`
	}{s.Job, s.State, s.Log})
}

// oneSweep wants the folder of a sweep.
func oneSweep(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fault.Misuse("give the folder of one sweep: %s runs/sweep", cmd.CommandPath())
	}
	return nil
}

func runSweepStatus(ctx context.Context, a *app, dir string) error {
	store, plan, err := sweep.ReadStore(dir)
	if err != nil {
		return err
	}
	counts, reasons := map[string]int{}, map[string]int{}
	states, err := store.States(ctx, plan)
	if err != nil {
		return err
	}
	jobs := []jobStatus{}
	for i, job := range plan.Jobs {
		state := states[i]
		counts[state.Status]++
		status := jobStatus{Job: job, State: state}
		if state.Attempts > 0 {
			status.Log = store.LogPath(job)
		}
		if state.Status == sweep.StatusWaiting && state.Error != "" {
			reasons[state.Error]++
		}
		jobs = append(jobs, status)
	}
	return a.show(map[string]any{"directory": dir, "counts": counts, "jobs": jobs}, func(w io.Writer) {
		writeStatus(w, counts, jobs)
		for _, reason := range sorted(reasons) {
			fmt.Fprintf(w, "\n%d waiting: %s\n", reasons[reason], printable(reason))
		}
	})
}

func writeStatus(w io.Writer, counts map[string]int, jobs []jobStatus) {
	var parts []string
	for _, status := range []string{sweep.StatusDone, sweep.StatusRunning, sweep.StatusWaiting, sweep.StatusInterrupted, sweep.StatusFailed} {
		if counts[status] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[status], status))
		}
	}
	fmt.Fprintf(w, "%d jobs: %s\n", len(jobs), strings.Join(parts, ", "))
	shown := 0
	for _, status := range []string{sweep.StatusFailed, sweep.StatusInterrupted, sweep.StatusRunning} {
		for _, job := range jobs {
			if job.Status != status || shown == shownJobs {
				continue
			}
			shown++
			fmt.Fprintf(w, "\n%s  %s", printable(job.ID), status)
			if job.Error != "" {
				fmt.Fprintf(w, ": %s", printable(job.Error))
			}
			if job.Node != "" {
				fmt.Fprintf(w, " (node %s, Slurm job %s)", printable(job.Node), printable(job.Task))
			}
			fmt.Fprintln(w)
			if job.Log != "" {
				fmt.Fprintf(w, "  %s\n", printable(job.Log))
			}
		}
	}
}
