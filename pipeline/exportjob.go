package pipeline

import (
	"context"
	"fmt"

	"ulrl/pipeline/attack"
	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
)

// ExportResult is what ExportImages wrote.
type ExportResult struct {
	Images int `json:"images"`
}

// ExportImages writes the test set with c's trigger on every image to the empty
// folder dir, as dir/<true class>/<index>.png.
func ExportImages(ctx context.Context, c *config.Config, env Env, dir string) (*ExportResult, error) {
	if !c.Attack.Makes() {
		return nil, fault.Misuse("attack.name is %s: there is no trigger to put on images", c.Attack.Name)
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
	if d.test == nil {
		return nil, fault.Misuse("data.test is none: there are no images to put the trigger on")
	}
	keep := dev.NewScope()
	defer keep.Close()
	trigger, err := openTrigger(ctx, env, dev, keep, c, d.test, d.normalise)
	if err != nil {
		return nil, err
	}
	if err := attack.Apply(ctx, dev, trigger, d.test, nil, d.normalise); err != nil {
		return nil, explain(err)
	}
	if err := dataset.FillFolder(ctx, d.test, dir); err != nil {
		return nil, fmt.Errorf("write the images: %w", err)
	}
	return &ExportResult{d.test.Len()}, nil
}
