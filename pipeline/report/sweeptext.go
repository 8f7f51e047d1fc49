package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// SweepMarkdown writes the table of s, failures first.
func SweepMarkdown(w io.Writer, s Sweep) error {
	var out strings.Builder
	for _, run := range s.Runs {
		if run.Status == "failed" {
			fmt.Fprintf(&out, "- **%s** (seed %d) failed: %s\n", markdown(run.ID), run.Seed, markdown(run.Error))
		}
	}
	if out.Len() > 0 {
		out.WriteString("\n")
	}
	out.WriteString("| config | setting | runs | ACC before | ACC | ASR before | ASR | RA | DER | time |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, row := range s.Rows() {
		fmt.Fprintf(&out, "| %s | %s | %d |", markdown(row.Name), markdown(row.Setting), row.Runs)
		for _, cell := range cells(row) {
			out.WriteString(" " + cell.Text + " |")
		}
		out.WriteString("\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func markdown(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "*", `\*`, "_", `\_`, "<", "&lt;").Replace(text)
}

// SweepCSV writes a line for each cleaning, finished or not.
func SweepCSV(w io.Writer, s Sweep) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"id", "config", "setting", "seed", "status", "acc_before", "acc", "asr_before", "asr", "ra_before", "ra", "der", "seconds", "error"}); err != nil {
		return err
	}
	number := func(v *float64) string {
		if v == nil {
			return ""
		}
		return strconv.FormatFloat(*v, 'g', -1, 64)
	}
	for _, run := range s.cleanings() {
		line := []string{run.ID, run.Name, run.Setting, strconv.FormatUint(run.Seed, 10), run.Status, "", "", "", "", "", "", "", "", run.Error}
		if r := run.Result; r != nil {
			for i, v := range []*float64{r.Before.ACC, r.After.ACC, r.Before.ASR, r.After.ASR, r.Before.RA, r.After.RA, r.DER} {
				line[5+i] = number(v)
			}
			if total, ok := r.Seconds["total"]; ok {
				line[12] = number(&total)
			}
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// SweepJSON writes the rows, and every failure.
func SweepJSON(w io.Writer, s Sweep) error {
	type failure struct {
		ID    string `json:"id"`
		Seed  uint64 `json:"seed"`
		Error string `json:"error"`
	}
	failures := []failure{}
	for _, run := range s.Runs {
		if run.Status == "failed" {
			failures = append(failures, failure{run.ID, run.Seed, run.Error})
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{"folder": s.Folder, "rows": s.Rows(), "failures": failures})
}
