// Package slurm submits job arrays to a Slurm cluster and asks how they stand,
// by Slurm's own commands. It knows nothing of what the jobs do.
package slurm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ulrl/pipeline/fault"
)

// Resources is what each job is given; what is empty is left to the cluster.
type Resources struct {
	Partition  string   `json:"partition,omitempty" yaml:"partition"`
	Account    string   `json:"account,omitempty" yaml:"account"`
	QOS        string   `json:"qos,omitempty" yaml:"qos"`
	Time       string   `json:"time,omitempty" yaml:"time"` // as sbatch --time reads it: minutes, or D-HH:MM:SS
	CPUs       int      `json:"cpus,omitempty" yaml:"cpus"`
	Mem        string   `json:"mem,omitempty" yaml:"mem"` // as sbatch --mem reads it, such as 4G
	Gres       string   `json:"gres,omitempty" yaml:"gres"`
	Constraint string   `json:"constraint,omitempty" yaml:"constraint"`
	Modules    []string `json:"modules,omitempty" yaml:"modules"` // of "module load"
	Extra      []string `json:"extra,omitempty" yaml:"extra"`     // other arguments of sbatch
}

// Set sets one resource from KEY=VALUE; modules and extra are added to.
func (r *Resources) Set(text string) error {
	key, value, ok := strings.Cut(text, "=")
	texts := map[string]*string{
		"partition": &r.Partition, "account": &r.Account, "qos": &r.QOS, "time": &r.Time, "mem": &r.Mem,
		"gres": &r.Gres, "constraint": &r.Constraint,
	}
	switch {
	case ok && texts[key] != nil:
		*texts[key] = value
	case ok && key == "cpus":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return fault.Misuse("cluster.cpus %s: wanted a whole number above 0", value)
		}
		r.CPUs = n
	case ok && key == "modules":
		r.Modules = append(r.Modules, value)
	case ok && key == "extra":
		r.Extra = append(r.Extra, value)
	default:
		return fault.Misuse("cluster %q: wanted KEY=VALUE with one of partition, account, qos, time, cpus, mem, gres, constraint, modules, extra", text)
	}
	return nil
}

func (r Resources) args() []string {
	var args []string
	add := func(flag, value string) {
		if value != "" {
			args = append(args, "--"+flag+"="+value)
		}
	}
	add("partition", r.Partition)
	add("account", r.Account)
	add("qos", r.QOS)
	add("time", r.Time)
	add("mem", r.Mem)
	add("gres", r.Gres)
	add("constraint", r.Constraint)
	if r.CPUs > 0 {
		add("cpus-per-task", strconv.Itoa(r.CPUs))
	}
	return append(args, r.Extra...)
}

// Array is an array of jobs, numbered from 0.
type Array struct {
	Name    string
	Size    int
	AtOnce  int      // at most so many run; 0: no limit
	After   string   // --dependency, such as afterok:12_3; "": none
	Log     string   // file; %A and %a become the array's and the job's number
	Command []string // the same for each job, which has SLURM_ARRAY_TASK_ID
	Resources
}

// warning is how long before its time limit a job gets SIGTERM.
const warning = time.Minute

// answers is how long sbatch may take.
const answers = 5 * time.Minute

// Submit queues an array and gives its number. A refusal is passed on as sbatch
// worded it. Once sbatch is asked its answer is waited for, whatever becomes of ctx:
// killed half-way it may leave an array in the queue that nobody knows of.
func Submit(ctx context.Context, a Array) (string, error) {
	tasks := fmt.Sprintf("0-%d", a.Size-1)
	if a.AtOnce > 0 {
		tasks += fmt.Sprintf("%%%d", a.AtOnce)
	}
	args := []string{
		"--parsable", "--job-name=" + a.Name, "--array=" + tasks, "--output=" + a.Log, "--open-mode=append", "--requeue",
		fmt.Sprintf("--signal=B:TERM@%d", int(warning.Seconds())),
	}
	if a.After != "" {
		args = append(args, "--dependency="+a.After, "--kill-on-invalid-dep=yes")
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answers)
	defer cancel()
	out, err := run(ctx, script(a), "sbatch", append(args, a.args()...)...)
	if err != nil {
		return "", err
	}
	id, _, _ := strings.Cut(strings.TrimSpace(out), ";") // ;CLUSTER may follow
	if _, err := strconv.Atoi(id); err != nil {
		return "", fmt.Errorf("sbatch answered %q, which is no job number", strings.TrimSpace(out))
	}
	return id, nil
}

// Refused tells of an error of Submit whether the array is surely not in the queue.
func Refused(err error) bool {
	var said *commandError
	return errors.Is(err, context.Canceled) || errors.Is(err, exec.ErrNotFound) || errors.As(err, &said) && !strings.Contains(said.said, "timed out")
}

// script is the batch script; the command takes the shell's place, so that it is
// what Slurm's signals reach.
func script(a Array) string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n")
	if len(a.Modules) > 0 {
		b.Reset()
		b.WriteString("#!/bin/bash -l\n")
		for _, module := range a.Modules {
			fmt.Fprintf(&b, "module load %s || exit 1\n", quote(module))
		}
	}
	b.WriteString("exec")
	for _, word := range a.Command {
		b.WriteString(" " + quote(word))
	}
	b.WriteString("\n")
	return b.String()
}

func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// Task is how a job of an array stands.
type Task struct {
	Name   string // the array's
	State  string // as Slurm names it, such as PENDING, RUNNING, NODE_FAIL
	Reason string // of waiting
	Node   string
}

// Live tells whether a job is still to run, or runs.
func (t Task) Live() bool {
	return slices.Contains([]string{
		"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED",
		"RESIZING", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "RESV_DEL_HOLD",
	}, t.State)
}

// Running tells whether it is on a node.
func (t Task) Running() bool {
	return slices.Contains([]string{"RUNNING", "COMPLETING", "SUSPENDED", "SIGNALING", "STAGE_OUT", "STOPPED"}, t.State)
}

// Queue is this user's jobs of arrays, by ARRAY_INDEX, that Slurm still knows.
func Queue(ctx context.Context) (map[string]Task, error) {
	out, err := run(ctx, "", "squeue", "--noheader", "--me", "--array", "--states=all", "--format=%F|%K|%T|%r|%N|%j")
	if err != nil {
		return nil, err
	}
	tasks := map[string]Task{}
	for line := range strings.Lines(out) {
		f := strings.SplitN(strings.TrimSpace(line), "|", 6)
		if len(f) == 6 {
			tasks[f[0]+"_"+f[1]] = Task{State: f[2], Reason: f[3], Node: f[4], Name: f[5]}
		}
	}
	return tasks, nil
}

// Ended asks the accounting, where the cluster has one, how arrays ended; where
// it has none there is nothing.
func Ended(ctx context.Context, ids []string) (map[string]Task, error) {
	tasks := map[string]Task{}
	if len(ids) == 0 {
		return tasks, nil
	}
	out, err := run(ctx, "", "sacct", "--noheader", "--parsable2", "--allocations", "--jobs="+strings.Join(ids, ","), "--format=JobID,State,NodeList,JobName")
	var failed *commandError
	if errors.As(err, &failed) && strings.Contains(failed.said, "disabled") || errors.Is(err, exec.ErrNotFound) {
		return tasks, nil
	} else if err != nil {
		return nil, err
	}
	for line := range strings.Lines(out) {
		if f := strings.SplitN(strings.TrimSpace(line), "|", 4); len(f) == 4 {
			state, _, _ := strings.Cut(f[1], " ") // CANCELLED by 1000
			tasks[f[0]] = Task{State: state, Node: f[2], Name: f[3]}
		}
	}
	return tasks, nil
}

// Cancel ends jobs, by ARRAY or ARRAY_INDEX.
func Cancel(ctx context.Context, ids []string) error {
	for part := range slices.Chunk(ids, 500) { // a command line has its limit
		if _, err := run(ctx, "", "scancel", part...); err != nil {
			return err
		}
	}
	return nil
}

// MaxArraySize is the cluster's limit; indices are below it.
func MaxArraySize(ctx context.Context) (int, error) {
	out, err := run(ctx, "", "scontrol", "show", "config")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(out) {
		if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "MaxArraySize" {
			n, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil || n < 2 {
				return 0, fmt.Errorf("the cluster allows no job arrays (MaxArraySize %s)", strings.TrimSpace(value))
			}
			return n, nil
		}
	}
	return 0, errors.New("scontrol show config: no MaxArraySize")
}

// commandError is a Slurm command that refused, with what it said.
type commandError struct{ tool, said string }

func (e *commandError) Error() string { return e.tool + ": " + e.said }

// run runs one of Slurm's commands.
func run(ctx context.Context, input, tool string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Stdin = strings.NewReader(input)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's Ctrl-C is not for it
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out.String(), nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return "", fault.Misuse("%s is not here, one of Slurm's commands: start ulrl where jobs are submitted, such as a login node (%w)", tool, exec.ErrNotFound)
	case !errors.As(err, &exit):
		return "", fmt.Errorf("start %s: %w", tool, err)
	}
	text := strings.ReplaceAll(strings.TrimSpace(said.String()), tool+": error: ", "")
	if text == "" {
		text = exit.Error()
	}
	return "", &commandError{tool, strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }), "; ")}
}
