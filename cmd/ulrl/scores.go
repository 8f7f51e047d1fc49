package main

import (
	"fmt"
	"io"
	"strings"

	"ulrl/pipeline/metrics"
)

const (
	accName = "ACC  clean accuracy"
	asrName = "ASR  attack success rate"
	raName  = "RA   robust accuracy"
	derName = "DER  defence effectiveness"
)

// writeScores writes the scores of one model.
func writeScores(w io.Writer, width int, s metrics.Scores) {
	table(w, [][]string{
		{accName, percent(s.ACC), cleanImages(s)},
		{asrName, percent(s.ASR), triggeredImages(s)},
		{raName, percent(s.RA), triggeredImages(s)},
	})
	writeScoreNotes(w, width, s, "model")
}

// writeComparison writes the scores of a model before and after a defence.
func writeComparison(w io.Writer, width int, before, after metrics.Scores, der *float64) {
	row := func(name string, b, a *float64, images string) []string {
		return []string{name, percent(b), percent(a), points(b, a), images}
	}
	table(w, [][]string{
		{"", "  before", "   after", " change"},
		row(accName, before.ACC, after.ACC, cleanImages(after)),
		row(asrName, before.ASR, after.ASR, triggeredImages(after)),
		row(raName, before.RA, after.RA, triggeredImages(after)),
		{derName, strings.Repeat(" ", 8), percent(der)},
	})
	writeScoreNotes(w, width, after, "run")
}

func cleanImages(s metrics.Scores) string {
	if s.ACC == nil {
		return ""
	}
	on := s.MeasuredOn
	if on != onCleanSamples {
		on += " images"
	}
	return grouped(int64(s.CleanImages)) + " " + printable(strings.TrimSpace(on))
}

func triggeredImages(s metrics.Scores) string {
	if s.ASR == nil && s.RA == nil {
		return ""
	}
	return grouped(int64(s.TriggeredImages)) + " with trigger"
}

// onCleanSamples is Scores.MeasuredOn where there is no test set.
const onCleanSamples = "clean samples"

// writeScoreNotes says what the scores lack or may hide; of is what trained on
// the clean samples.
func writeScoreNotes(w io.Writer, width int, s metrics.Scores, of string) {
	var notes []string
	if s.MeasuredOn == onCleanSamples {
		note := "There is no test set: accuracy was measured on the clean samples"
		if of == "run" {
			note += ", which relearning trained on, so it flatters the cleaned model"
		}
		notes = append(notes, note+". Name a test set in data.test.")
	}
	if s.ACC == nil {
		notes = append(notes, "ACC is not known: there were no labelled images to measure it on.")
	}
	if s.ASR == nil {
		notes = append(notes, "ASR and RA are not known: the config names no trigger. One that is known is measured by attack.name and attack.trigger; that another does not work would say nothing.")
	}
	if len(notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, note := range notes {
		paragraph(w, width, "  ", note)
	}
}
