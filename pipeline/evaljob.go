package pipeline

import (
	"context"
	"time"

	"ulrl/pipeline/config"
	"ulrl/pipeline/metrics"
	"ulrl/pipeline/model"
	torch "ulrl/torchbridge"
)

// EvalResult is what Eval measured.
type EvalResult struct {
	Model   string         `json:"model"`
	SHA256  string         `json:"sha256"`
	Scores  metrics.Scores `json:"scores"`
	Seconds float64        `json:"seconds"`
}

// Eval measures a model file (c's, where path is "") on c's test set with c's trigger.
func Eval(ctx context.Context, c *config.Config, env Env, path string) (*EvalResult, error) {
	began := time.Now()
	if path == "" {
		path = c.ModelPath()
	}
	file, err := model.ReadFile(path)
	if err != nil {
		return nil, err
	}
	dev, err := openDevice(env, c)
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	d, err := readImages(ctx, c, false)
	if err != nil {
		return nil, err
	}
	keep := dev.NewScope()
	defer keep.Close()
	g, err := newGauge(ctx, env, dev, c, d, nil)
	if err != nil {
		return nil, err
	}
	if g.trigger, err = openTrigger(ctx, env, dev, keep, c, d.test, d.normalise); err != nil {
		return nil, err
	}
	var loaded *loadedModel
	err = dev.Do(ctx, func(s *torch.Scope) (err error) {
		loaded, err = loadClassifier(s, keep, file, d.test, d.normalise)
		return
	})
	if err != nil {
		return nil, explain(err)
	}
	scores, err := g.scores(ctx, "evaluate", loaded.module)
	if err != nil {
		return nil, explain(err)
	}
	return &EvalResult{Model: path, SHA256: file.SHA256, Scores: scores, Seconds: time.Since(began).Seconds()}, nil
}
