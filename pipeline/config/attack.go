package config

// Attack is the backdoor: how a model is poisoned, and the trigger that measures
// the attack's success.
type Attack struct {
	// Name is none (no trigger is known) or an attack.
	Name string `mapstructure:"name" validate:"oneof=none badnets blended blind bpp ftrojan sig wanet"`
	// Output is the folder that the attack writes.
	Output string `mapstructure:"output" validate:"required"`
	// Target is the class that the trigger leads to, from 0.
	Target int `mapstructure:"target" validate:"gte=0"`
	// LabelMode is all2one (every class to Target) or all2all (each to the next,
	// the last to 0).
	LabelMode string `mapstructure:"label_mode" validate:"oneof=all2one all2all"`
	// PoisonRate is the share of the training set that gets the trigger.
	PoisonRate float64 `mapstructure:"poison_rate" validate:"gt=0,lt=1"`
	Trigger    Trigger `mapstructure:"trigger"`
	Blended    Blended `mapstructure:"blended"`
	SIG        SIG     `mapstructure:"sig"`
	WaNet      WaNet   `mapstructure:"wanet"`
	BPP        BPP     `mapstructure:"bpp"`
	FTrojan    FTrojan `mapstructure:"ftrojan"`
	Blind      Blind   `mapstructure:"blind"`
	// CrossRatio is, for wanet and bpp, how many images of a batch get a decoy
	// and keep their label for each that is poisoned.
	CrossRatio float64  `mapstructure:"cross_ratio" validate:"gte=0,lte=9"`
	Arch       Arch     `mapstructure:"arch"`
	Train      Training `mapstructure:"train"`
}

// AttackNone is the value of Attack.Name where no trigger is known.
const AttackNone = "none"

// Trigger is the patch of badnets and blind, in pixels of the image before normalisation.
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

// Arch is the network that the attack trains.
type Arch struct {
	// Name is the architecture.
	Name string `mapstructure:"name" validate:"oneof=preactresnet18"`
	// Width is the channels of the first stage; the full network has 64.
	Width int `mapstructure:"width" validate:"gte=1,lte=1024"`
}

// Training is the schedule of poisoned training with SGD.
type Training struct {
	// Samples is the training images used, drawn by seed; 0: all.
	Samples int `mapstructure:"samples" validate:"gte=0"`
	// Epochs is how many there are.
	Epochs int `mapstructure:"epochs" validate:"gte=1,lte=10000"`
	// BatchSize is in images.
	BatchSize int `mapstructure:"batch_size" validate:"gte=1,lte=65536"`
	// LR is the learning rate at the start; of schedule onecycle, the peak.
	LR          float64 `mapstructure:"lr" validate:"gt=0,lte=10"`
	Momentum    float64 `mapstructure:"momentum" validate:"gte=0,lt=1"`
	Nesterov    bool    `mapstructure:"nesterov"`
	WeightDecay float64 `mapstructure:"weight_decay" validate:"gte=0,lte=1"`
	// Schedule is onecycle, cosine or constant.
	Schedule string `mapstructure:"schedule" validate:"oneof=onecycle cosine constant"`
	// Augment crops at random with padding 4, and flips as Data.Flip says.
	Augment bool `mapstructure:"augment"`
}
