package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/slurm"
	"ulrl/pipeline/sweep"
)

// registerCluster adds the flags of what gives jobs to Slurm.
func registerCluster(cmd *cobra.Command, cluster *[]string, atOnce *int, wait *bool) {
	f := cmd.Flags()
	f.StringArrayVar(cluster, "cluster", nil, "slurm: what each job asks for, `KEY=VALUE` (repeatable): partition, account, qos, time, cpus, mem, gres, constraint, modules, extra")
	f.IntVar(atOnce, "at-once", 0, "slurm: run at most so many jobs at a time")
	f.BoolVar(wait, "wait", false, "slurm: stay and show how it goes")
}

// resources are the sweep file's with what --cluster says.
func resources(from slurm.Resources, sets []string) (slurm.Resources, error) {
	for _, text := range sets {
		if err := from.Set(text); err != nil {
			return from, err
		}
	}
	return from, nil
}

func runClusterSweep(ctx context.Context, a *app, o sweepOptions, spec sweep.Spec) error {
	given, err := resources(o.Resources, o.Cluster)
	if err != nil {
		return err
	}
	if given.CPUs == 0 {
		given.CPUs = max(1, o.Threads)
	}
	if given.Mem == "" {
		memory, err := o.memory()
		if err != nil {
			return err
		}
		if memory > 0 {
			given.Mem = fmt.Sprintf("%dM", max(1, memory/1e6))
		}
	}
	plan, err := sweep.NewPlan(ctx, spec, o.Out, config.Options{Env: a.environ})
	if err != nil {
		return err
	}
	if o.DryRun {
		return showPlan(a, o.Out, plan, o.AtOnce)
	}
	store, err := sweep.OpenStore(o.Out)
	if err != nil {
		return err
	}
	cluster := sweep.Cluster{Store: store, Resources: given, AtOnce: o.AtOnce, Retries: o.Retries}
	return submit(ctx, a, cluster, plan, o.Out, o.Wait, true)
}

// clusterReport is what came of giving a sweep to Slurm.
type clusterReport struct {
	Directory string `json:"directory"`
	sweep.Submitted
	Ended  *sweep.Summary `json:"ended,omitempty"`  // with --wait
	Report string         `json:"report,omitempty"` // with --wait
}

func submit(ctx context.Context, a *app, cluster sweep.Cluster, plan *sweep.Plan, dir string, wait, save bool) error {
	var err error
	if cluster.Binary, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program's file: %w", err)
	}
	given, err := submitLocked(ctx, cluster, plan, save)
	if err != nil {
		return err
	}
	for _, wrong := range given.Damaged {
		a.log.Warnf("%s; it is done again", wrong)
	}
	report := clusterReport{Directory: dir, Submitted: given}
	text := fmt.Sprintf("%d jobs are in Slurm's queue now", given.Now)
	if given.Queued > 0 {
		text += fmt.Sprintf(", %d were before", given.Queued)
	}
	if given.Done > 0 {
		text += fmt.Sprintf(", %d are done", given.Done)
	}
	if !wait {
		return a.show(report, func(w io.Writer) {
			fmt.Fprintf(w, "%s\n\n  ulrl sweep status %s\n  ulrl sweep cancel %s\n  ulrl report %s\n", text, printable(dir), printable(dir), printable(dir))
		})
	}
	a.log.Info(text)
	return waitFor(ctx, a, cluster.Store, plan, report)
}

// submitLocked keeps others off the folder while jobs are queued.
func submitLocked(ctx context.Context, cluster sweep.Cluster, plan *sweep.Plan, save bool) (sweep.Submitted, error) {
	unlock, err := cluster.Store.Lock()
	if err != nil {
		return sweep.Submitted{}, err
	}
	defer unlock()
	if save {
		if err := cluster.Store.SavePlan(plan); err != nil {
			return sweep.Submitted{}, err
		}
	}
	return cluster.Submit(ctx, plan)
}

// Of --wait: how many jobs are shown, and how often Slurm is asked.
const (
	shownWorkers = 8
	askEvery     = 5 * time.Second
)

func waitFor(ctx context.Context, a *app, store *sweep.Store, plan *sweep.Plan, report clusterReport) error {
	view, err := newSweepView(a, store, plan, shownWorkers, "")
	if err != nil {
		return err
	}
	sum, err := store.Wait(ctx, plan, shownWorkers, askEvery, view.hear)
	view.end()
	report.Ended = &sum
	if err != nil {
		return &reported{fmt.Errorf("wait for the sweep: %w; its jobs stay in Slurm's queue: ulrl sweep status %s", err, report.Directory), report}
	}
	if report.Report, err = store.WriteReport(ctx, plan); err != nil {
		return &reported{err, report}
	}
	if left := sum.Failed + sum.Waiting; left > 0 {
		return &reported{fmt.Errorf("%d of %d jobs are not done: ulrl sweep status %s", left, len(plan.Jobs), report.Directory), report}
	}
	return a.show(report, func(w io.Writer) {
		fmt.Fprintf(w, "%d jobs are done\n\nFiles\n  %s  what was found\n", sum.Done, printable(report.Report))
	})
}

func newSweepCancelCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel FOLDER",
		Short: "Take a sweep's jobs out of Slurm's queue",
		Args:  oneSweep,
		RunE: func(cmd *cobra.Command, args []string) error {
			store, _, err := sweep.ReadStore(args[0])
			if err != nil {
				return err
			}
			if _, err := store.LastCluster(); err != nil {
				return err
			}
			n, err := store.Cancel(cmd.Context())
			if err != nil {
				return err
			}
			return a.show(map[string]any{"directory": args[0], "cancelled": n}, func(w io.Writer) {
				fmt.Fprintf(w, "%d jobs were cancelled\n", n)
			})
		},
	}
	a.registerJSON(cmd)
	return cmd
}

func newSweepRetryCommand(a *app) *cobra.Command {
	var sets []string
	var atOnce int
	var wait bool
	cmd := &cobra.Command{
		Use:   "retry FOLDER",
		Short: "Give Slurm again what is neither done nor in its queue",
		Args:  oneSweep,
		RunE: func(cmd *cobra.Command, args []string) error {
			store, plan, err := sweep.ReadStore(args[0])
			if err != nil {
				return err
			}
			cluster, err := store.LastCluster()
			if err != nil {
				return err
			}
			if cluster.Resources, err = resources(cluster.Resources, sets); err != nil {
				return err
			}
			if cmd.Flags().Changed("at-once") {
				cluster.AtOnce = atOnce
			}
			return submit(cmd.Context(), a, cluster, plan, args[0], wait, false)
		},
		Example: "  ulrl sweep retry runs/sweep --cluster mem=8G --cluster time=120",
	}
	registerCluster(cmd, &sets, &atOnce, &wait)
	a.registerJSON(cmd)
	return cmd
}

func newSweepLogsCommand(a *app) *cobra.Command {
	lines := 20
	cmd := &cobra.Command{
		Use:   "logs FOLDER [JOB...]",
		Short: "The last lines that jobs of a sweep logged; of all that failed where none is named",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return oneSweep(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if lines < 0 {
				return fault.Misuse("--lines %d: wanted at least 0", lines)
			}
			return showLogs(cmd.Context(), a, args[0], args[1:], lines)
		},
		Example: "  ulrl sweep logs runs/sweep\n  ulrl sweep logs runs/sweep badnets-0123456789 -n 100",
	}
	cmd.Flags().IntVarP(&lines, "lines", "n", lines, "so many of each")
	return cmd
}

func showLogs(ctx context.Context, a *app, dir string, names []string, lines int) error {
	store, plan, err := sweep.ReadStore(dir)
	if err != nil {
		return err
	}
	tasks, err := store.Tasks(ctx)
	if err != nil && !errors.Is(err, exec.ErrNotFound) {
		return err
	}
	states, err := store.StatesBeside(plan, tasks)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	shown := 0
	for i, job := range plan.Jobs {
		failed := states[i].Status == sweep.StatusFailed || states[i].Status == sweep.StatusInterrupted
		if !wanted[job.ID] && (len(names) > 0 || !failed) {
			continue
		}
		delete(wanted, job.ID)
		shown++
		fmt.Fprintf(a.stdout, "==> %s: %s %s\n", printable(job.ID), states[i].Status, printable(states[i].Error))
		for _, path := range []string{store.LogPath(job), tasks[job.ID].Log} {
			if err := lastLines(a.stdout, path, lines); err != nil {
				return err
			}
		}
	}
	for name := range wanted {
		return fault.Misuse("%s: no such job in %s; ulrl sweep status %s --json names all", name, dir, dir)
	}
	if shown == 0 {
		a.log.Info("no job failed; name those whose logs to show")
	}
	return nil
}

// lastLines writes the last lines of a file, if it is there.
func lastLines(w io.Writer, path string, n int) error {
	text, err := os.ReadFile(path)
	if path == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("read a log: %w", err)
	}
	all := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	for _, line := range all[max(0, len(all)-n):] {
		if _, err := fmt.Fprintln(w, printable(string(line))); err != nil {
			return err
		}
	}
	return nil
}

// newSweepWorkCommand is what jobs of Slurm run.
func newSweepWorkCommand(a *app) *cobra.Command {
	var batch string
	cmd := &cobra.Command{
		Use:    "work FOLDER",
		Short:  "Do the job of a sweep that this job of Slurm was given",
		Hidden: true,
		Args:   oneSweep,
		RunE: func(cmd *cobra.Command, args []string) error {
			binary, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program's file: %w", err)
			}
			// Slurm repeats its signals: a second must not end this at once.
			signals := make(chan os.Signal, 1)
			signal.Reset(os.Interrupt, syscall.SIGTERM)
			signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
			return sweep.WorkTask(cmd.Context(), args[0], batch, binary, a.workerEnv(), signals, func(e sweep.Event) {
				if e.What != sweep.EventProgress {
					a.log.Info(strings.TrimSpace(e.Job.ID + " " + e.What))
				}
			})
		},
	}
	cmd.Flags().StringVar(&batch, "batch", "", "the array's name in the sweep's folder")
	return cmd
}
