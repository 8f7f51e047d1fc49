package sweep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ulrl/pipeline/report"
	"ulrl/pipeline/runstore"
)

// filePreview is the picture of its trigger that an attack leaves.
const filePreview = "preview.png"

// Collect gathers what the jobs of a plan found.
func (s *Store) Collect(ctx context.Context, p *Plan) (report.Sweep, error) {
	out := report.Sweep{Folder: filepath.Base(s.dir), Previews: map[string][]byte{}}
	models := map[string]string{} // folders by job ID
	states, err := s.States(ctx, p)
	if err != nil {
		return out, err
	}
	for i, job := range p.Jobs {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		state := states[i]
		run := report.SweepRun{ID: job.ID, Attack: job.Kind == KindAttack, Name: job.Name, Setting: job.SettingText(), Seed: job.Seed, Status: state.Status, Error: state.Error}
		if state.Status == StatusFailed {
			run.Log = s.LogPath(job)
		}
		if job.Kind == KindAttack {
			models[job.ID] = job.Dir
		} else if err := s.collectRun(job, &run); err != nil {
			return out, err
		}
		if dir := models[job.Needs]; dir != "" && out.Previews[job.Name] == nil {
			picture, err := os.ReadFile(filepath.Join(dir, filePreview))
			if err == nil {
				out.Previews[job.Name] = picture
			} else if !errors.Is(err, fs.ErrNotExist) {
				return out, fmt.Errorf("read a trigger's preview: %w", err)
			}
		}
		if run.Result != nil && out.Command == "" {
			out.Command = strings.Join(run.Result.Command, " ")
		}
		out.Runs = append(out.Runs, run)
	}
	return out, nil
}

// collectRun adds what a run's directory holds, if it began.
func (s *Store) collectRun(job *Job, run *report.SweepRun) error {
	result, err := runstore.ReadResult(job.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, runstore.ErrDamaged): // the others are worth a report all the same
		run.Error = err.Error()
		return nil
	case err != nil:
		return err
	}
	run.Result = result
	if run.Epochs, err = runstore.ReadEpochs(job.Dir); err != nil {
		return err
	}
	page := filepath.Join(job.Dir, runstore.FileReport)
	if _, err := os.Stat(page); err == nil {
		if relative, err := filepath.Rel(s.dir, page); err == nil {
			run.Page = filepath.ToSlash(relative)
		}
	}
	return nil
}

// WriteReport writes the report into the sweep's directory and names it.
func (s *Store) WriteReport(ctx context.Context, p *Plan) (string, error) {
	found, err := s.Collect(ctx, p)
	if err != nil {
		return "", err
	}
	var page bytes.Buffer
	if err := report.SweepHTML(&page, found); err != nil {
		return "", err
	}
	path := filepath.Join(s.dir, runstore.FileReport)
	return path, runstore.WriteFileAtomic(path, page.Bytes(), 0o644)
}
