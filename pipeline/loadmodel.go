package pipeline

import (
	"fmt"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/model"
	torch "ulrl/torchbridge"
)

// loadModel loads the model to clean and finds its layers.
func (r *run) loadModel(s *torch.Scope) error {
	loaded, err := loadClassifier(s, r.keep, r.file, r.clean, r.data.normalise)
	if err != nil {
		return err
	}
	r.original = loaded.module
	if err := r.file.CheckTrainable(r.original); err != nil {
		return err
	}
	if err := r.checkLogits(s); err != nil {
		return err
	}
	if loaded.reaction.Restless {
		r.warn(restless)
	}
	if loaded.reaction.Frozen() {
		r.warn("the model's BatchNorm does not react to training mode: it was traced or frozen in evaluation mode, and is unlearned and relearned so; a scripted model (torch.jit.script) would train as the method means it")
	}
	if r.c.Defense.Method != config.MethodULRL {
		return nil // it scores no layers
	}
	all, err := model.Layers(s, r.original)
	if err != nil {
		return err
	}
	classes := len(r.clean.Classes)
	if r.layers, err = model.Match(all, r.c.Suspicious.Layers, classes); err != nil || r.c.Relearn.Counter.Weight == 0 {
		return err
	}
	if head, ok := model.Head(all, classes); ok {
		r.head = &head
	} else {
		r.warn(fmt.Sprintf("the model has no linear layer with %d outputs to tell a suspicious class by: it is relearned without relearn.counter", classes))
	}
	return nil
}

// restless is what is wrong with a model that trains while it is evaluated.
const restless = "the model does not answer the same images alike in evaluation mode: it was traced in training mode, and what becomes of an image hangs on the others of its batch; export it with torch.jit.script, or trace it after model.eval()"

// checkLogits looks at what the model gives for some of the clean samples.
func (r *run) checkLogits(s *torch.Scope) error {
	some := make([]int, min(16, r.clean.Len()))
	for i := range some {
		some[i] = i * r.clean.Len() / len(some)
	}
	x, _ := dataset.NewLoader(r.clean.Subset(some), dataset.LoaderOptions{BatchSize: len(some), Normalise: r.data.normalise}).Batch(s, 0, 0)
	if err := r.file.CheckLearns(s, r.original, x); err != nil {
		return err
	}
	end, err := model.Squashed(s, r.original, x)
	switch {
	case err != nil:
		return fmt.Errorf("model %s: run it on %d images: %w", r.file.Path, len(some), err)
	case end == model.Softmax:
		return fault.Misuse("model %s ends in a softmax: its outputs are shares, and a backdoor is found and removed in the logits before it; save it without its softmax", r.file.Path)
	case end == model.Sigmoid:
		r.warn("all of the model's outputs lie between 0 and 1, as a sigmoid's do: a backdoor is found and removed in logits, so save the model without its sigmoid if it has one")
	}
	return nil
}

// loadedModel is a classifier that has been tried out.
type loadedModel struct {
	module   *torch.Module
	reaction model.TrainEval
}

// loadClassifier loads file onto keep's device, in channels-last order, and
// tries it on two images of set.
func loadClassifier(s, keep *torch.Scope, file *model.File, set *dataset.Set, n dataset.Normalisation) (*loadedModel, error) {
	m, err := file.Load(keep)
	if err != nil {
		return nil, err
	}
	if err := file.CheckWeights(s, m); err != nil {
		return nil, err
	}
	if err := m.ChannelsLast(true); err != nil {
		return nil, err
	}
	few := set.Subset([]int{0, set.Len() - 1})
	x, _ := dataset.NewLoader(few, dataset.LoaderOptions{BatchSize: 2, Normalise: n}).Batch(s, 0, 0)
	if _, err := file.Probe(s, m, x, len(set.Classes)); err != nil {
		return nil, err
	}
	reaction, err := model.Reacts(s, m, x)
	if err != nil {
		return nil, fmt.Errorf("model %s: run it in training mode: %w", file.Path, err)
	}
	return &loadedModel{m, reaction}, nil
}
