package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"ulrl/pipeline/runstore"
)

// maxNeurons is how many suspicious neurons the closing table shows.
const maxNeurons = 10

// writeRun writes what a finished run has to tell.
func writeRun(w io.Writer, width int, r *runReport) {
	fmt.Fprintf(w, "%s: %s\n\n", printable(r.Name), printable(r.Status))
	writeComparison(w, width, r.Before, r.After, r.DER)
	writeNeurons(w, width, r)
	list(w, width, "Warnings", r.Warnings)
	writeFiles(w, r)
	fmt.Fprintln(w)
	paragraph(w, width, "Time  ", times(r.Seconds))
}

func writeNeurons(w io.Writer, width int, r *runReport) {
	fmt.Fprintln(w)
	if c := r.SuspiciousClass; c != nil {
		own := ""
		if before, after := r.SuspiciousACC(); before != nil {
			own = ", accuracy on its images " + strings.TrimSpace(percent(before)) + " before, " + strings.TrimSpace(percent(after)) + " after"
		}
		paragraph(w, width, "", "Suspicious class: "+printable(c.String())+own)
		paragraph(w, width, "", printable(r.Why()))
		if remains := r.Remains(); remains != "" {
			paragraph(w, width, "", printable(remains))
		}
	}
	if c, before, after := r.LostMost(); c != nil {
		paragraph(w, width, "", fmt.Sprintf("Class %s lost most%s: accuracy on its images %.2f %% before, %.2f %% after", printable(c.String()), r.OfTheOthers(), 100*before, 100*after))
	}
	if none := r.NoNeurons(); none != "" {
		paragraph(w, width, "", printable(none))
	} else {
		done := ", re-initialised"
		if r.Kept {
			done = ""
		}
		fmt.Fprintf(w, "Suspicious neurons%s (%d)\n", done, len(r.Suspicious))
		table(w, neuronRows(r.Suspicious))
		if more := len(r.Suspicious) - maxNeurons; more > 0 {
			fmt.Fprintf(w, "  and %d more%s\n", more, where(r))
		}
		if little := r.LittleDone(); little != "" {
			paragraph(w, width, "", little)
		}
	}
	for _, layer := range r.Layers {
		told := func(warning string) bool { return strings.HasSuffix(warning, layer.Note) }
		if layer.Note != "" && !slices.ContainsFunc(r.Warnings, told) {
			paragraph(w, width, "  ", clip(layer.Name, 40)+": "+layer.Note)
		}
	}
}

// where says which file has the neurons that the table leaves out.
func where(r *runReport) string {
	if !r.wrote(runstore.FileNeurons) {
		return ""
	}
	return ": " + printable(filepath.Join(r.Directory, runstore.FileNeurons))
}

// wrote tells whether the run directory has a file.
func (r *runReport) wrote(file string) bool {
	return slices.Contains(slices.Collect(maps.Values(r.Files)), file)
}

func neuronRows(neurons []runstore.Neuron) [][]string {
	shown := neurons[:min(len(neurons), maxNeurons)]
	top := 0.0
	for _, n := range shown {
		top = max(top, n.Score)
	}
	rows := [][]string{{"layer", "index", "   score", "      z"}}
	for _, n := range shown {
		z := fmt.Sprintf("%7s", unknown)
		if n.Z != nil {
			z = fmt.Sprintf("%7.2f", *n.Z)
		}
		rows = append(rows, []string{clip(n.Layer, 40), fmt.Sprintf("%5d", n.Index), fmt.Sprintf("%8.*f", decimals(top), n.Score), z})
	}
	return rows
}

// decimals is how many give the largest of a column's numbers four digits.
func decimals(top float64) int {
	if !(top > 0) || math.IsInf(top, 0) {
		return 2
	}
	return min(max(3-int(math.Floor(math.Log10(top))), 0), 9)
}

// writeFiles says where the files are that somebody wants next.
func writeFiles(w io.Writer, r *runReport) {
	fmt.Fprintf(w, "\nFiles\n")
	var rows [][]string
	for _, file := range [][2]string{
		{runstore.FileCleaned, "the cleaned model"},
		{runstore.FileReport, "what was found and what changed"},
		{runstore.FileResult, "the same for machines"},
	} {
		if r.wrote(file[0]) || file[0] == runstore.FileResult {
			rows = append(rows, []string{printable(filepath.Join(r.Directory, file[0])), file[1]})
		}
	}
	table(w, rows)
}

// times is the total, then the phases, the longest first.
func times(of map[string]float64) string {
	var phases []string
	for _, name := range slices.SortedFunc(maps.Keys(of), func(a, b string) int {
		return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b))
	}) {
		if name != totalSeconds && of[name] >= 0.1 {
			phases = append(phases, name+" "+seconds(of[name]))
		}
	}
	text := seconds(of[totalSeconds])
	if len(phases) > 0 {
		text += " (" + strings.Join(phases, ", ") + ")"
	}
	return text
}

// totalSeconds is the key of Result.Seconds that stands for all phases.
const totalSeconds = "total"
