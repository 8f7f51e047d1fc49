package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"ulrl/pipeline/fault"
)

const envLevel = "ULRL_LOG_LEVEL"

// logOptions are the flags that say what is logged and how.
type logOptions struct {
	Level   string
	Format  string
	Quiet   bool
	NoColor bool
	Every   time.Duration // between log lines of progress

	environ string // the environment's level; "": it says none
}

// register adds the flags to the root command. The environment gives defaults:
// envLevel, and NO_COLOR (set to anything).
func (o *logOptions) register(cmd *cobra.Command, getenv func(string) string) {
	o.environ = getenv(envLevel)
	f := cmd.PersistentFlags()
	f.SortFlags = false
	f.StringVar(&o.Level, "log-level", cmp.Or(o.environ, "info"), "log `LEVEL`: debug, info, warn, error")
	f.StringVar(&o.Format, "log-format", "auto", "log `FORMAT`: text, json, auto")
	f.BoolVarP(&o.Quiet, "quiet", "q", false, "no progress; log warnings and errors only")
	f.BoolVar(&o.NoColor, "no-color", getenv("NO_COLOR") != "" || getenv("TERM") == "dumb", "no colours, as with NO_COLOR set")
	f.DurationVar(&o.Every, "progress-every", 10*time.Second, "")
	_ = f.MarkHidden("progress-every") // for the workers of a sweep
	_ = cmd.RegisterFlagCompletionFunc("log-level", oneOf("debug", "info", "warn", "error"))
	_ = cmd.RegisterFlagCompletionFunc("log-format", oneOf("text", "json", "auto"))
}

func oneOf(values ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
}

// text tells whether log lines are for people.
func (o logOptions) text(c *console) bool {
	return o.Format == "text" || o.Format == "auto" && c.terminal
}

// newLogger makes a logger that writes to c.
func newLogger(o logOptions, c *console) (*logrus.Logger, error) {
	levels := map[string]logrus.Level{
		"debug": logrus.DebugLevel, "info": logrus.InfoLevel, "warn": logrus.WarnLevel, "error": logrus.ErrorLevel,
	}
	level, ok := levels[o.Level]
	if !ok {
		from := "--log-level"
		if o.Level == o.environ && o.environ != "" {
			from = envLevel
		}
		return nil, fault.Misuse("%s %s: wanted debug, info, warn or error", from, o.Level)
	}
	if !slices.Contains([]string{"text", "json", "auto"}, o.Format) {
		return nil, fault.Misuse("--log-format %s: wanted text, json or auto", o.Format)
	}
	log := logrus.New()
	log.SetOutput(c)
	log.SetLevel(level)
	if o.Quiet {
		log.SetLevel(min(level, logrus.WarnLevel))
	}
	log.SetFormatter(&logrus.JSONFormatter{})
	if o.text(c) {
		log.SetFormatter(textFormat{terminal: c.terminal, color: c.terminal && !o.NoColor})
	}
	return log, nil
}

// textFormat is log lines for people: a time, the level where it is not info,
// the message, fields. logrus's own prints a message's control characters, and
// messages may quote names out of untrusted models.
type textFormat struct{ terminal, color bool }

// Format renders one line.
func (f textFormat) Format(e *logrus.Entry) ([]byte, error) {
	var b bytes.Buffer
	stamp := time.RFC3339
	if f.terminal {
		stamp = time.TimeOnly
	}
	b.WriteString(e.Time.Format(stamp) + " ")
	if e.Level != logrus.InfoLevel {
		b.WriteString(f.paint(e.Level, e.Level.String()+":") + " ")
	}
	b.WriteString(printable(strings.TrimSpace(e.Message)))
	for _, key := range slices.Sorted(maps.Keys(e.Data)) {
		fmt.Fprintf(&b, "  %s=%s", printable(key), printable(fmt.Sprint(e.Data[key])))
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

func (f textFormat) paint(level logrus.Level, s string) string {
	const red, yellow, grey = 31, 33, 90
	color := red
	switch {
	case !f.color:
		return s
	case level >= logrus.DebugLevel:
		color = grey
	case level == logrus.WarnLevel:
		color = yellow
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", color, s)
}
