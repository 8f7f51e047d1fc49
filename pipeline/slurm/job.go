package slurm

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Why a job was told to stop.
const (
	StopTimeLimit = "over its time limit"
	StopPreempted = "preempted"
	StopCancelled = "cancelled"
	StopUnknown   = "told to stop"
)

// Why asks, within a job that got SIGTERM, what for. restarts is how often the
// job had been requeued when this run of it began. Jobs that are preempted and
// that Slurm will not put back by itself are put back.
func Why(ctx context.Context, job string, restarts int, now time.Time) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := run(ctx, "", "scontrol", "show", "job", "--oneliner", job)
	if err != nil {
		return StopUnknown
	}
	why, requeue := reason(parseJob(out), restarts, now)
	if requeue {
		if _, err := run(ctx, "", "scontrol", "requeue", job); err != nil {
			return fmt.Sprintf("%s, and not put back in the queue: %v", why, err)
		}
	}
	return why
}

// parseJob reads KEY=VALUE words; a value with blanks in it is cut short.
func parseJob(text string) map[string]string {
	fields := map[string]string{}
	for word := range strings.FieldsSeq(text) {
		if key, value, ok := strings.Cut(word, "="); ok && fields[key] == "" {
			fields[key] = value
		}
	}
	return fields
}

func reason(job map[string]string, restarts int, now time.Time) (why string, requeue bool) {
	requeued, _ := strconv.Atoi(job["Restarts"])
	_, marked := job["PreemptTime"]
	switch state := job["JobState"]; {
	case state == "CANCELLED":
		return StopCancelled, false
	case state == "PREEMPTED" || requeued > restarts:
		return StopPreempted, false
	case marked && job["PreemptTime"] != "None":
		return StopPreempted, job["Requeue"] == "1"
	case state == "TIMEOUT" || nearLimit(job, now):
		return StopTimeLimit, false
	case state == "COMPLETING": // it was killed, and has not ended yet
		return StopCancelled, false
	}
	return StopUnknown, false
}

// nearLimit says whether a job has come to the warning before its time limit. That
// is what EndTime says only while it runs: of one that is being killed it is now.
func nearLimit(job map[string]string, now time.Time) bool {
	const form = "2006-01-02T15:04:05"
	end, err := time.ParseInLocation(form, job["EndTime"], time.Local)
	if job["JobState"] != "RUNNING" {
		var limit time.Duration
		if limit, err = parseLimit(job["TimeLimit"]); err == nil {
			end, err = time.ParseInLocation(form, job["StartTime"], time.Local)
			end = end.Add(limit)
		}
	}
	return err == nil && end.Sub(now) <= warning+30*time.Second // Slurm's clock for signals is coarse
}

// parseLimit reads DAYS-HH:MM:SS, the days only where there are any.
func parseLimit(text string) (time.Duration, error) {
	days, clock, ok := strings.Cut(text, "-")
	if !ok {
		days, clock = "0", text
	}
	n, err := strconv.Atoi(days)
	if err != nil {
		return 0, err
	}
	parts := strings.Split(clock, ":")
	if len(parts) != 3 {
		return 0, fmt.Errorf("a time limit of %q", text)
	}
	limit, err := time.ParseDuration(parts[0] + "h" + parts[1] + "m" + parts[2] + "s")
	return limit + time.Duration(n)*24*time.Hour, err
}
