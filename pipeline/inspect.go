package pipeline

import (
	"context"
	"fmt"

	"ulrl/pipeline/cores"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/gate"
	"ulrl/pipeline/model"
	torch "ulrl/torchbridge"
)

// Verdict is what the gate says of a model file that passed it.
type Verdict = gate.Verdict

// InspectOptions of Inspect.
type InspectOptions struct {
	Classes int   // 0: what the model gives
	Shape   []int // C, H, W of an image; nil: tried from the first layer
}

// Inspection is what Inspect found.
type Inspection struct {
	Path       string      `json:"path"`
	SHA256     string      `json:"sha256"`
	Bytes      int         `json:"bytes"`
	Parameters int64       `json:"parameters"`
	Layers     []LayerInfo `json:"layers"`
	Head       string      `json:"head"` // "" where there is none
	Classes    int         `json:"classes"`
	Input      string      `json:"input"` // "N×3×32×32"; "" where the model takes none of those tried
	TrainEval  string      `json:"train_eval"`
	Operators  []string    `json:"operators"` // of all its code, as loaded
	Gate       Verdict     `json:"gate"`
	Warnings   []string    `json:"warnings"`
}

// LayerInfo is a layer that can be scored.
type LayerInfo struct {
	Name       string `json:"name"`
	Class      string `json:"class"`
	Shape      []int  `json:"shape"`
	Parameters int64  `json:"parameters"`
	Scored     bool   `json:"scored"` // by default: it is the head
}

// Inspect looks into a model file. It runs the model on made-up images.
func Inspect(ctx context.Context, path string, env Env, o InspectOptions) (*Inspection, error) {
	file, err := model.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if o.Shape != nil && (len(o.Shape) != 3 || min(o.Shape[0], o.Shape[1], o.Shape[2]) < 1) {
		return nil, fault.Misuse("the input's shape is three numbers, channels, height, width, such as 3,32,32")
	}
	dev, err := env.Lib.Device("cpu", cores.Count())
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	in := &Inspection{Path: path, SHA256: file.SHA256, Bytes: file.Size, Gate: file.Verdict, Warnings: []string{}}
	var layers []model.Layer
	keep := dev.NewScope()
	defer keep.Close()
	var m *torch.Module
	err = dev.Do(ctx, func(s *torch.Scope) (err error) {
		if m, err = file.Load(keep); err != nil {
			return err
		}
		layers, err = in.structure(s, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := dev.Do(ctx, func(*torch.Scope) error { return file.CheckTrainable(m) }); err != nil {
		in.Warnings = append(in.Warnings, err.Error())
	}
	if err := dev.Do(ctx, func(s *torch.Scope) error { return file.CheckWeights(s, m) }); err != nil {
		in.Warnings = append(in.Warnings, err.Error()) // and it takes no images
	} else if err := in.try(ctx, dev, file, m, shapes(layers, o.Shape)); ctx.Err() != nil {
		return nil, ctx.Err()
	} else if err != nil && o.Shape != nil {
		in.Warnings = append(in.Warnings, err.Error())
	} else if err != nil {
		in.Warnings = append(in.Warnings, "the model takes none of the image sizes that were tried: name its input with --input channels,height,width ("+err.Error()+")")
	}
	if o.Classes > 0 {
		in.Classes = o.Classes
	}
	if head, ok := model.Head(layers, in.Classes); ok {
		in.Head = head.Name
	} else if in.Classes > 0 {
		in.Warnings = append(in.Warnings, fmt.Sprintf("no linear layer has %d outputs: name layers in suspicious.layers", in.Classes))
	}
	for i := range in.Layers {
		in.Layers[i].Scored = in.Layers[i].Name == in.Head
	}
	return in, nil
}

// structure fills in what can be told without running the model.
func (in *Inspection) structure(s *torch.Scope, m *torch.Module) ([]model.Layer, error) {
	names, err := m.Parameters()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		in.Parameters += int64(m.Parameter(s, name).Len())
	}
	if in.Operators, err = m.Operators(); err != nil {
		return nil, err
	}
	layers, err := model.Layers(s, m)
	if err != nil {
		return nil, err
	}
	for _, l := range layers {
		info := LayerInfo{Name: l.Name, Shape: l.Shape, Parameters: int64(l.Rows() * l.FanIn())}
		if l.Name != l.Weight { // a bare parameter has no part of its own
			if info.Class, err = m.Class(l.Name); err != nil {
				return nil, err
			}
		}
		in.Layers = append(in.Layers, info)
	}
	return layers, s.Err()
}

// shapes are the usual image sizes for a first layer, or the one that was named.
func shapes(layers []model.Layer, named []int) [][]int {
	if named != nil {
		return [][]int{named}
	}
	channels, sizes := 3, []int{32, 28, 64, 224}
	if len(layers) > 0 && len(layers[0].Shape) == 4 {
		channels = layers[0].Shape[1]
	}
	if channels == 1 { // MNIST and its kin
		sizes = []int{28, 32, 64, 224}
	}
	var out [][]int
	for _, size := range sizes {
		out = append(out, []int{channels, size, size})
	}
	return out
}

// try runs the model on the first of the shapes that it takes; the error is the last one's.
func (in *Inspection) try(ctx context.Context, dev *torch.Device, file *model.File, m *torch.Module, shapes [][]int) error {
	var err error
	for _, shape := range shapes {
		err = dev.Do(ctx, func(s *torch.Scope) error {
			x := noise(s, append([]int{2}, shape...))
			classes, err := file.Probe(s, m, x, 0)
			if err != nil {
				return err
			}
			reaction, err := model.Reacts(s, m, x)
			if err != nil {
				return err
			}
			end, err := model.Squashed(s, m, x)
			if err != nil {
				return err
			}
			if end == model.Softmax {
				in.Warnings = append(in.Warnings, "the model ends in a softmax: save it without, since ulrl run needs its logits")
			}
			if err := file.CheckLearns(s, m, x); err != nil {
				in.Warnings = append(in.Warnings, err.Error())
			}
			in.Classes = classes
			in.Input = fmt.Sprintf("N×%d×%d×%d", shape[0], shape[1], shape[2])
			in.describe(reaction)
			return nil
		})
		if err == nil {
			return nil
		}
	}
	return err
}

func (in *Inspection) describe(t model.TrainEval) {
	switch {
	case t.Restless:
		in.TrainEval = "no effect on what trains: it does in evaluation mode too"
		in.Warnings = append(in.Warnings, restless)
	case t.Frozen():
		in.TrainEval = "no effect, though there is BatchNorm: traced or frozen in evaluation mode"
		in.Warnings = append(in.Warnings, "the model cannot be trained as it was: export it with torch.jit.script instead of torch.jit.trace")
	case t.Reacts:
		in.TrainEval = "switching between training and evaluation has effect"
	default:
		in.TrainEval = "no effect: the model has neither BatchNorm nor dropout"
	}
}

// noise is a fixed pattern of values around 0.
func noise(s *torch.Scope, shape []int) *torch.Tensor {
	n := 1
	for _, extent := range shape {
		n *= extent
	}
	values := make([]float32, n)
	state := uint32(1)
	for i := range values {
		state = state*1664525 + 1013904223
		values[i] = float32(state>>8)/(1<<23) - 1
	}
	return torch.From(s, values, shape...)
}
