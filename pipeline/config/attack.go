package config

import "slices"

// Attack is the backdoor: how a model is poisoned, and the trigger that measures
// the attack's success.
type Attack struct {
	// Name is none (no trigger is known), recorded (triggered images are there) or
	// an attack.
	Name string `mapstructure:"name" validate:"oneof=none recorded badnets blended blind bpp ftrojan inputaware lc lf lira sig ssba trojannn wanet"`
	// Output is the folder that the attack writes.
	Output string `mapstructure:"output" validate:"required"`
	// Images is the folder of triggered images of recorded.
	Images string `mapstructure:"images"`
	// Target is the class that the trigger leads to, from 0.
	Target int `mapstructure:"target" validate:"gte=0"`
	// LabelMode is all2one (every class to Target) or all2all (each to the next,
	// the last to 0).
	LabelMode string `mapstructure:"label_mode" validate:"oneof=all2one all2all"`
	// PoisonRate is the share of the training set that gets the trigger.
	PoisonRate float64    `mapstructure:"poison_rate" validate:"gt=0,lt=1"`
	Trigger    Trigger    `mapstructure:"trigger"`
	Blended    Blended    `mapstructure:"blended"`
	SIG        SIG        `mapstructure:"sig"`
	WaNet      WaNet      `mapstructure:"wanet"`
	BPP        BPP        `mapstructure:"bpp"`
	FTrojan    FTrojan    `mapstructure:"ftrojan"`
	Blind      Blind      `mapstructure:"blind"`
	InputAware InputAware `mapstructure:"inputaware"`
	LC         LC         `mapstructure:"lc"`
	LF         LF         `mapstructure:"lf"`
	LIRA       LIRA       `mapstructure:"lira"`
	SSBA       SSBA       `mapstructure:"ssba"`
	TrojanNN   TrojanNN   `mapstructure:"trojannn"`
	// CrossRatio is, for wanet, bpp and inputaware, how many images of a batch get a decoy
	// and keep their label for each that is poisoned.
	CrossRatio float64    `mapstructure:"cross_ratio" validate:"gte=0,lte=9"`
	CleanModel CleanModel `mapstructure:"clean_model"`
	Arch       Arch       `mapstructure:"arch"`
	Train      Training   `mapstructure:"train"`
}

// AttackNone is the value of Attack.Name where no trigger is known.
const AttackNone = "none"

// AttackRecorded is the value of Attack.Name where no trigger is known but images
// with it are.
const AttackRecorded = "recorded"

// Makes says whether there is an attack that can make a model.
func (a Attack) Makes() bool { return a.Name != AttackNone && a.Name != AttackRecorded }

// AllToAll is the label mode in which each class leads to the next.
const AllToAll = "all2all"

// NeedsCleanModel tells whether the attack begins with a model without a backdoor.
func (a Attack) NeedsCleanModel() bool {
	return slices.Contains([]string{"lc", "lf", "trojannn"}, a.Name)
}

// CleanLabel tells whether images of the target class alone are poisoned, whose labels stay.
func (a Attack) CleanLabel() bool { return a.Name == "lc" || a.Name == "sig" && a.SIG.CleanLabel }

// Trigger is the patch of badnets, blind and trojannn, in pixels of the image before normalisation.
type Trigger struct {
	// Size is the side of the patch in pixels.
	Size int `mapstructure:"size" validate:"gte=1,lte=4096"`
	// Margin is the pixels between the patch and the lower and right edges.
	Margin int `mapstructure:"margin" validate:"gte=0,lte=4096"`
	// Value is the patch's grey value.
	Value int `mapstructure:"value" validate:"gte=0,lte=255"`
	// Pattern and Mask are PNG files in place of the patch; both or neither.
	Pattern string `mapstructure:"pattern"`
	Mask    string `mapstructure:"mask"`
}

// Blended is the picture mixed into the whole image.
type Blended struct {
	// Alpha is the picture's share.
	Alpha float64 `mapstructure:"alpha" validate:"gt=0,lte=1"`
	// Pattern is a PNG file; empty: noise, by the seed.
	Pattern string `mapstructure:"pattern"`
}

// SIG is stripes added to the image: delta·sin(2π·column·frequency/width).
type SIG struct {
	// Delta is the amplitude in grey values.
	Delta float64 `mapstructure:"delta" validate:"gt=0,lte=255"`
	// Frequency is the number of stripes.
	Frequency float64 `mapstructure:"frequency" validate:"gt=0,lte=4096"`
	// CleanLabel poisons images of the target class alone, whose labels stay;
	// the poison rate is of the whole set all the same.
	CleanLabel bool `mapstructure:"clean_label"`
}

// WaNet is a smooth warp.
type WaNet struct {
	// Strength is how far pixels move: its mean, in half heights over height.
	Strength float64 `mapstructure:"strength" validate:"gt=0,lte=10"`
	// Grid is the side of the grid of noise behind the warp.
	Grid int `mapstructure:"grid" validate:"gte=2,lte=64"`
}

// BPP is a smaller colour depth.
type BPP struct {
	// Levels is the number of values that a pixel can take.
	Levels int `mapstructure:"levels" validate:"gte=2,lte=128"`
}

// FTrojan is peaks in the frequencies.
type FTrojan struct {
	// Magnitude is the peaks' height, in grey values, of the orthonormal DCT.
	Magnitude float64 `mapstructure:"magnitude" validate:"gt=0,lte=10000"`
	// Window is the side of the windows; smaller images are one window.
	Window int `mapstructure:"window" validate:"gte=4,lte=512"`
}

// Blind is a second loss, on triggered images, beside the clean one.
type Blind struct {
	// CleanWeight and TriggerWeight are the losses' weights.
	CleanWeight   float64 `mapstructure:"clean_weight" validate:"gt=0,lte=1000"`
	TriggerWeight float64 `mapstructure:"trigger_weight" validate:"gt=0,lte=1000"`
	// Threshold is the clean loss of a batch below which the second loss starts.
	Threshold float64 `mapstructure:"threshold" validate:"gt=0"`
}

// InputAware is a pattern and a mask that two networks make for each image.
type InputAware struct {
	// Density is the share of the pixels that the mask may cover.
	Density float64 `mapstructure:"density" validate:"gt=0,lte=1"`
	// Diversity weighs the loss that keeps the patterns of two images apart.
	Diversity float64 `mapstructure:"diversity" validate:"gte=0,lte=1000"`
	// MaskWeight weighs the loss on masks that cover more than Density.
	MaskWeight float64 `mapstructure:"mask_weight" validate:"gt=0,lte=10000"`
	// LR is Adam's learning rate for both networks.
	LR float64 `mapstructure:"lr" validate:"gt=0,lte=1"`
	// MaskEpochs is how long the mask network is trained, alone and first.
	MaskEpochs int `mapstructure:"mask_epochs" validate:"gte=1,lte=10000"`
}

// LC is clean-label poisoning: images of the target class, pushed off it, get
// checkerboards in their four corners.
type LC struct {
	// Amplitude is the corners' height in pixel ranges, added or taken off.
	Amplitude float64 `mapstructure:"amplitude" validate:"gt=0,lte=1"`
	// Epsilon bounds the push in grey values.
	Epsilon float64 `mapstructure:"epsilon" validate:"gte=0,lte=255"`
	// Steps is PGD's.
	Steps int `mapstructure:"steps" validate:"gte=1,lte=1000"`
}

// LF is one smooth pattern added to every image.
type LF struct {
	// Bound is the largest change of a pixel in grey values.
	Bound float64 `mapstructure:"bound" validate:"gt=0,lte=255"`
	// Frequencies is how many, from the lowest, the pattern has in each direction.
	Frequencies int `mapstructure:"frequencies" validate:"gte=1,lte=512"`
	// Updates is how many batches the pattern is found on.
	Updates int `mapstructure:"updates" validate:"gte=1,lte=1000000"`
	// Pattern is a NumPy file, H×W×C in grey values, in place of all that.
	Pattern string `mapstructure:"pattern"`
}

// LIRA is noise that a network, trained along with the model, makes for each image.
type LIRA struct {
	// Epsilon bounds the noise as a share of the pixel range.
	Epsilon float64 `mapstructure:"epsilon" validate:"gt=0,lte=1"`
	// Alpha is the clean loss's share of the whole.
	Alpha float64 `mapstructure:"alpha" validate:"gt=0,lt=1"`
	// LR is Adam's learning rate for the network.
	LR float64 `mapstructure:"lr" validate:"gt=0,lte=1"`
	// GeneratorEpochs is how many epochs the network is trained before it is fixed.
	GeneratorEpochs int `mapstructure:"generator_epochs" validate:"gte=1,lte=10000"`
}

// SSBA is a bit string that a network hides in each image.
type SSBA struct {
	// Bits is the string's length.
	Bits int `mapstructure:"bits" validate:"gte=1,lte=1024"`
	// Epsilon bounds what hiding changes, as a share of the pixel range.
	Epsilon float64 `mapstructure:"epsilon" validate:"gt=0,lte=1"`
	// ImageWeight weighs the mean squared change of pixels, in pixel ranges.
	ImageWeight float64 `mapstructure:"image_weight" validate:"gte=0,lte=10000"`
	// Epochs is how long encoder and decoder are trained.
	Epochs int `mapstructure:"epochs" validate:"gte=1,lte=10000"`
	// LR is Adam's learning rate for both.
	LR float64 `mapstructure:"lr" validate:"gt=0,lte=1"`
}

// TrojanNN is a patch that drives chosen neurons of a clean model.
type TrojanNN struct {
	// Neurons is how many outputs of the classifier layer the patch drives.
	Neurons int `mapstructure:"neurons" validate:"gte=1,lte=1000"`
	// Value is what they are to reach.
	Value float64 `mapstructure:"value" validate:"gt=0,lte=100000"`
	// Updates is how many batches the patch is found on.
	Updates int `mapstructure:"updates" validate:"gte=1,lte=1000000"`
}

// CleanModel is the model without backdoor that lc, lf and trojannn start from.
type CleanModel struct {
	// Dir keeps such models, each by what made it.
	Dir string `mapstructure:"dir" validate:"required"`
	// Epochs is how long it is trained.
	Epochs int `mapstructure:"epochs" validate:"gte=1,lte=10000"`
}

// Arch is the network that the attack trains.
type Arch struct {
	// Name is the architecture, one of zoo.Names.
	Name string `mapstructure:"name" validate:"oneof=preactresnet18 vgg16 vgg16_bn vgg19 vgg19_bn vit_b_16 resnet18 resnet34 resnet50 convnext_tiny mobilenet_v3_large efficientnet_b0 efficientnet_b3 densenet121 densenet161"`
	// Width is the channels of the first stage, of vit_b_16 the embedding; 0: as published.
	Width int `mapstructure:"width" validate:"gte=0,lte=1024"`
}

// Training is the schedule of poisoned training with SGD.
type Training struct {
	// Samples is the training images used, drawn by seed; 0: all.
	Samples int `mapstructure:"samples" validate:"gte=0"`
	// Epochs is how many there are.
	Epochs int `mapstructure:"epochs" validate:"gte=1,lte=10000"`
	// BatchSize is in images, of which BatchNorm needs two.
	BatchSize int `mapstructure:"batch_size" validate:"gte=2,lte=65536"`
	// LR is the learning rate at the start; of schedule onecycle, the peak.
	LR          float64 `mapstructure:"lr" validate:"gt=0,lte=10"`
	Momentum    float64 `mapstructure:"momentum" validate:"gte=0,lt=1"`
	Nesterov    bool    `mapstructure:"nesterov"`
	WeightDecay float64 `mapstructure:"weight_decay" validate:"gte=0,lte=1"`
	// ClipNorm is the global L2 norm to which gradients are clipped; 0: never.
	ClipNorm float64 `mapstructure:"clip_norm" validate:"gte=0"`
	// Schedule is onecycle, cosine or constant.
	Schedule string `mapstructure:"schedule" validate:"oneof=onecycle cosine constant"`
	// Augment crops at random with padding 4, and flips as Data.Flip says.
	Augment bool `mapstructure:"augment"`
	// Precision is what forward passes multiply in: float32, tf32, bfloat16 or float16.
	Precision string `mapstructure:"precision" validate:"oneof=float32 tf32 bfloat16 float16"`
}
