// Package config reads a run's configuration: strict YAML in layers, one
// schema, ranges checked, every value traceable to the layer that set it.
//
// The lowest layer is the built-in configs/base.yaml, which alone holds the
// defaults. Above it come the files named by "extends:", the user's file, ULRL_*
// environment variables and key=value overrides. Paths are as the user types
// them: relative ones are relative to the working directory. "extends:" alone is
// relative to the file that says it. ${name} in a path becomes the run's name.
//
// Whatever is wrong in a config is misuse in the sense of package fault.
package config

import "path/filepath"

// Config is one run's whole configuration, as Load and Default return it. Values
// marked [published] in configs/base.yaml are those of ULRL, arXiv 2405.14781.
// Fields carry their range in the validate tag.
type Config struct {
	// Name is the run's name; it replaces ${name} in paths.
	Name string `mapstructure:"name" validate:"runname"`
	// Seed is the seed of every random draw.
	Seed uint64 `mapstructure:"seed"`
	// Device is auto (CUDA where there is one), cpu, cuda or cuda:N.
	Device string `mapstructure:"device" validate:"device"`
	// Threads is the tensor library's CPU threads; 0 is one per physical core
	// that the process may use.
	Threads int `mapstructure:"threads" validate:"gte=0,lte=1024"`
	// Output is the run directory.
	Output string `mapstructure:"output" validate:"required"`

	Data       Data       `mapstructure:"data"`
	Clean      Clean      `mapstructure:"clean"`
	Model      Model      `mapstructure:"model"`
	Attack     Attack     `mapstructure:"attack"`
	Defense    Defense    `mapstructure:"defense"`
	Unlearn    Unlearn    `mapstructure:"unlearn"`
	Suspicious Suspicious `mapstructure:"suspicious"`
	Relearn    Relearn    `mapstructure:"relearn"`
	Eval       Eval       `mapstructure:"eval"`

	origins map[string]string // leaf key to the layer that set it
}

// Data says where the images are and how they are read.
type Data struct {
	// Name chooses the normalisation where Mean and Std are empty, and what
	// Flip auto means. custom has no normalisation of its own.
	Name string `mapstructure:"name" validate:"oneof=fashion-mnist mnist cifar10 cifar100 gtsrb tiny-imagenet custom"`
	// Kind is idx (MNIST's files), folder (a folder of images per class), cifar,
	// gtsrb, tiny-imagenet (those sets as they are given out), npy (NumPy's files)
	// or auto (by what lies in Dir).
	Kind string `mapstructure:"kind" validate:"oneof=idx folder cifar gtsrb tiny-imagenet npy auto"`
	// Dir has the four IDX files by their usual names, or train/ and test/, or
	// what a set's archive unpacks to.
	Dir string `mapstructure:"dir"`
	// Train replaces the images file (idx) or the folder of classes (folder)
	// found in Dir; empty: as found. Of npy it is the file.
	Train string `mapstructure:"train"`
	// TrainLabels is the labels file, idx and npy only; empty: the usual name (idx).
	TrainLabels string `mapstructure:"train_labels"`
	// Test is as Train, for the test set; NoTestSet: there is none.
	Test string `mapstructure:"test"`
	// TestLabels is as TrainLabels, for the test set.
	TestLabels string `mapstructure:"test_labels"`
	// Classes is the number of classes; 0: as found in the data.
	Classes int `mapstructure:"classes" validate:"gte=0,lte=100000"`
	// Channels is 1, 3 or 0 (as found); kinds of image files only.
	Channels int `mapstructure:"channels" validate:"oneof=0 1 3"`
	// Size is [height, width] in pixels, or empty (as found; of gtsrb 32×32);
	// kinds of image files only.
	Size []int `mapstructure:"size" validate:"nothing_or=2,dive,gte=1,lte=4096"`
	// Mean and Std are of pixels scaled to 0..1, one per channel; empty: by Name.
	Mean []float64 `mapstructure:"mean" validate:"dive,gte=0,lte=1"`
	Std  []float64 `mapstructure:"std" validate:"dive,gt=0,lte=1"`
	// Flip says whether augmentation may flip horizontally: auto (by Name), on, off.
	Flip string `mapstructure:"flip" validate:"oneof=auto on off"`
}

// KindNPY is the kind of NumPy's files, which have no usual names; KindFolder that of a folder
// of images per class.
const (
	KindNPY    = "npy"
	KindFolder = "folder"
)

// NoTestSet is the value of Data.Test where there is no test set.
const NoTestSet = "none"

// Clean is the defender's draw from the training set: exactly one of Count and
// Ratio is above 0.
type Clean struct {
	// Count is a number of images.
	Count int `mapstructure:"count" validate:"gte=0"`
	// Ratio is a share of the training set.
	Ratio float64 `mapstructure:"ratio" validate:"gte=0,lte=1"`
	// Balanced draws the same number from each class.
	Balanced bool `mapstructure:"balanced"`
	// Poisoned is how many of them carry the attack's trigger and its label.
	Poisoned int `mapstructure:"poisoned" validate:"gte=0"`
}

// Model is the model to clean.
type Model struct {
	// Path is a TorchScript file; empty: what the attack wrote (see ModelPath).
	Path string `mapstructure:"path"`
}

// What an attack's output folder holds: the model, the trigger (TorchScript: a normalised
// batch in, the triggered one out), and what the attack says of itself and of the
// folder's other files.
const (
	BackdooredFile = "backdoored.pt"
	TriggerFile    = "trigger.pt"
	AttackFile     = "attack.json"
)

// ModelPath is the TorchScript file to clean: Model.Path, or where that is empty
// the attack's output.
func (c *Config) ModelPath() string {
	if c.Model.Path != "" {
		return c.Model.Path
	}
	return filepath.Join(c.Attack.Output, BackdooredFile)
}

// Defense is what cleans the model.
type Defense struct {
	// Method is one of the Method constants.
	Method string `mapstructure:"method" validate:"oneof=ulrl ft ft-sam"`
}

// Values of Defense.Method.
const (
	MethodULRL  = "ulrl"   // unlearn, find the suspicious neurons, relearn
	MethodFT    = "ft"     // fine-tuning as Relearn says, nothing else
	MethodFTSAM = "ft-sam" // sharpness-aware fine-tuning as Relearn says
)

// Unlearn is the schedule of gradient ascent.
type Unlearn struct {
	// Epochs is the most there are.
	Epochs int `mapstructure:"epochs" validate:"gte=1,lte=10000"`
	// BatchSize is in images, at most: where an epoch would have fewer than MinBatches, it
	// has smaller ones.
	BatchSize  int `mapstructure:"batch_size" validate:"gte=2,lte=65536"`
	MinBatches int `mapstructure:"min_batches" validate:"gte=1,lte=65536"`
	// LR is SGD's learning rate, Momentum and WeightDecay (L2) belong to it.
	LR          float64 `mapstructure:"lr" validate:"gt=0,lte=10"`
	Momentum    float64 `mapstructure:"momentum" validate:"gte=0,lt=1"`
	WeightDecay float64 `mapstructure:"weight_decay" validate:"gte=0,lte=1"`
	// Milestones are the epochs, ascending from 1, after which LR is multiplied
	// by Gamma.
	Milestones []int   `mapstructure:"milestones" validate:"dive,gte=1"`
	Gamma      float64 `mapstructure:"gamma" validate:"gt=0,lte=1"`
	// ClipNorm is the global L2 norm to which gradients are clipped; 0: never.
	ClipNorm float64 `mapstructure:"clip_norm" validate:"gte=0"`
	// StopAccuracy ends unlearning after the epoch whose accuracy is at most this.
	StopAccuracy float64 `mapstructure:"stop_accuracy" validate:"gte=0,lte=1"`
	// Precision is what forward passes multiply in: float32, tf32, bfloat16 or float16.
	Precision string `mapstructure:"precision" validate:"oneof=float32 tf32 bfloat16 float16"`
}

// Suspicious is the selection of neurons.
type Suspicious struct {
	// Rule is mad (outliers by median absolute deviation) or ratio.
	Rule string `mapstructure:"rule" validate:"oneof=mad ratio"`
	// Layers is what is scored: head, all (alone), or patterns of path.Match.
	Layers []string `mapstructure:"layers" validate:"min=1,unique,dive,layer"`
	// Threshold is the z score of rule mad above which a neuron is suspicious.
	Threshold float64 `mapstructure:"threshold" validate:"gt=0"`
	// Max caps the neurons per layer under rule mad; 0: no cap.
	Max int `mapstructure:"max" validate:"gte=0"`
	// Order says which of them the cap keeps: score (highest) or index (first).
	Order string `mapstructure:"order" validate:"oneof=score index"`
	// Ratio is the share of each layer's neurons under rule ratio.
	Ratio float64 `mapstructure:"ratio" validate:"gt=0,lte=1"`
}

// Values of Suspicious.Layers that are no patterns.
const (
	LayersHead = "head" // the last linear layer whose output is the class count
	LayersAll  = "all"  // every linear and convolutional layer
)

// Relearn is the schedule of relearning; the learning rate anneals to 0 along a
// cosine.
type Relearn struct {
	// Epochs is how many there are.
	Epochs int `mapstructure:"epochs" validate:"gte=1,lte=10000"`
	// Attempts is how often relearning begins at most: again with the model as it was, for twice
	// as many epochs, where Counter.Enough says.
	Attempts int `mapstructure:"attempts" validate:"gte=1,lte=10"`
	// BatchSize is in images, at most: where an epoch would have fewer than MinBatches, it
	// has smaller ones.
	BatchSize  int `mapstructure:"batch_size" validate:"gte=2,lte=65536"`
	MinBatches int `mapstructure:"min_batches" validate:"gte=1,lte=65536"`
	// LR is SGD's learning rate at the start, Momentum and WeightDecay (L2)
	// belong to it.
	LR          float64 `mapstructure:"lr" validate:"gt=0,lte=10"`
	Momentum    float64 `mapstructure:"momentum" validate:"gte=0,lt=1"`
	WeightDecay float64 `mapstructure:"weight_decay" validate:"gte=0,lte=1"`
	// Reinitialise gives the suspicious neurons new weights first.
	Reinitialise bool `mapstructure:"reinitialise"`
	// Alpha weighs the cosine term that pushes new rows off the old ones.
	Alpha float64 `mapstructure:"alpha" validate:"gte=0,lte=1000"`
	// Distill is the share of the loss on clean samples that follows the model's
	// outputs of before in place of the labels.
	Distill float64 `mapstructure:"distill" validate:"gte=0,lte=1"`
	// Counter holds against the backdoor.
	Counter Counter `mapstructure:"counter"`
	// Rho is how far up the slope each step looks before it goes down; 0: not at all.
	Rho float64 `mapstructure:"rho" validate:"gte=0,lte=100"`
	// Stride is the length to which slopes are scaled, in lengths of the weights; 0: they are left.
	Stride float64 `mapstructure:"stride" validate:"gte=0,lte=1"`
	// Lookback is how far on the way back to the weights of before each step looks for its slope; 0: not at all.
	Lookback float64 `mapstructure:"lookback" validate:"gte=0,lt=1"`
	// Back is the share of the way to what it was by which the model is taken back in the end; 0: not at all.
	Back float64 `mapstructure:"back" validate:"gte=0,lt=1"`
	// Augment crops at random with padding 4, and flips as Data.Flip says.
	Augment bool `mapstructure:"augment"`
	// EvalEvery measures on the test set every so many epochs, before the model is taken back; 0: never between.
	EvalEvery int `mapstructure:"eval_every" validate:"gte=0"`
	// Precision is what forward passes multiply in: float32, tf32, bfloat16 or float16.
	Precision string `mapstructure:"precision" validate:"oneof=float32 tf32 bfloat16 float16"`
}

// Counter is triggers of our own, found for the suspicious class on the model as
// it relearns, whose images are not to be of that class.
type Counter struct {
	// Weight is that of its loss; 0: there is none.
	Weight float64 `mapstructure:"weight" validate:"gte=0,lte=1000"`
	// Radius bounds the change of every pixel by the dense trigger, as a share of
	// the pixel range.
	Radius float64 `mapstructure:"radius" validate:"gt=0,lte=1"`
	// SampleRadius bounds that by the triggers that are each image's own, made anew
	// with each batch; 0: there are none.
	SampleRadius float64 `mapstructure:"sample_radius" validate:"gte=0,lte=1"`
	// Bend bounds the points of the smooth field along which the bent trigger moves
	// pixels, as a share of the image's sides; 0: there is none.
	Bend float64 `mapstructure:"bend" validate:"gte=0,lte=1"`
	// Wave is the height of the waves that are looked for and held against the class that
	// they lead to, as a share of the pixel range; 0: none.
	Wave float64 `mapstructure:"wave" validate:"gte=0,lte=1"`
	// Pixels is the share of pixels that the sparse trigger changes; 0: there is none.
	Pixels float64 `mapstructure:"pixels" validate:"gte=0,lte=1"`
	// Patch is the longest side of the patches among which the sparse trigger's
	// beginning is looked for, as a share of the image's; 0: it begins at nothing, and
	// classes are not looked for by patches.
	Patch float64 `mapstructure:"patch" validate:"gte=0,lte=1"`
	// DenseLabels and SparseLabels weigh, within the counter's loss, the ordinary
	// loss on their images: of what class they are.
	DenseLabels  float64 `mapstructure:"dense_labels" validate:"gte=0,lte=1000"`
	SparseLabels float64 `mapstructure:"sparse_labels" validate:"gte=0,lte=1000"`
	// Share is that of each batch's images which get triggers.
	Share float64 `mapstructure:"share" validate:"gt=0,lte=1"`
	// Steps are how often the triggers that are the same for all images are fitted to
	// each batch, SampleSteps the others.
	Steps       int `mapstructure:"steps" validate:"gte=1,lte=1000"`
	SampleSteps int `mapstructure:"sample_steps" validate:"gte=1,lte=1000"`
	// Suspects are so many classes among which the backdoor's is looked for.
	Suspects int `mapstructure:"suspects" validate:"gte=1,lte=1000"`
	// Enough is how far a class may be led to in the end, as a mean share in the outputs,
	// for another of the Attempts not to be needed.
	Enough float64 `mapstructure:"enough" validate:"gte=0,lte=1"`
	// Restart is how likely each begins anew with a batch.
	Restart float64 `mapstructure:"restart" validate:"gte=0,lte=1"`
	// Floor is how much of its labels' share of the clean samples the suspicious class has at
	// least in the outputs for them, when in the end the head's biases are fitted to these; 0: they stay.
	Floor float64 `mapstructure:"floor" validate:"gte=0,lte=1"`
}

// Eval is how test sets are passed through a model.
type Eval struct {
	// BatchSize is in images.
	BatchSize int `mapstructure:"batch_size" validate:"gte=1,lte=65536"`
}
