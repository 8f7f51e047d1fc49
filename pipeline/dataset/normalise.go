package dataset

import "ulrl/pipeline/fault"

// Normalisation maps a pixel scaled to 0..1 to (pixel − Mean) / Std, per channel.
type Normalisation struct{ Mean, Std []float64 }

type profile struct {
	mean, std []float64
	// Mirroring an image keeps its class. BackdoorBench mirrors cifar10 alone.
	flip bool
}

// profiles are the usual values of the field's data sets; ones of three
// channels serve grey copies of colour sets by their mean.
func profiles(name string) (profile, bool) {
	switch name {
	case "fashion-mnist":
		return profile{[]float64{0.2860}, []float64{0.3530}, false}, true
	case "mnist":
		return profile{[]float64{0.1307}, []float64{0.3081}, false}, true
	case "cifar10":
		return profile{[]float64{0.4914, 0.4822, 0.4465}, []float64{0.247, 0.243, 0.261}, true}, true
	case "cifar100":
		return profile{[]float64{0.5071, 0.4865, 0.4409}, []float64{0.2673, 0.2564, 0.2762}, true}, true
	case "tiny-imagenet":
		return profile{[]float64{0.4802, 0.4481, 0.3975}, []float64{0.2302, 0.2265, 0.2262}, true}, true
	case "gtsrb":
		return profile{[]float64{0, 0, 0}, []float64{1, 1, 1}, false}, true
	}
	return profile{}, false
}

// NormalisationFor gives mean and std where they are set, else the usual ones
// of the data set; either must fit the channel count.
func NormalisationFor(name string, mean, std []float64, channels int) (Normalisation, error) {
	if len(mean) == 0 {
		p, ok := profiles(name)
		if !ok {
			return Normalisation{}, fault.Misuse("no usual normalisation for data.name %s: set data.mean and data.std", name)
		}
		mean, std = p.mean, p.std
	}
	if len(mean) != channels || len(std) != channels {
		return Normalisation{}, fault.Misuse("the images have %d channels, data.mean %d and data.std %d values: set both to one value per channel", channels, len(mean), len(std))
	}
	return Normalisation{Mean: mean, Std: std}, nil
}

// FlipAllowed says whether mirroring keeps a class: "on" and "off" are
// answers, "auto" goes by the data set: cifar10, cifar100 and tiny-imagenet may be
// mirrored; clothes, digits and signs have a side.
func FlipAllowed(name, flip string) bool {
	if flip != "auto" {
		return flip == "on"
	}
	p, _ := profiles(name)
	return p.flip
}

// table maps every byte of every channel to its normalised value.
func (n Normalisation) table() [][256]float32 {
	out := make([][256]float32, len(n.Mean))
	for c := range out {
		for v := range out[c] {
			out[c][v] = float32((float64(v)/255 - n.Mean[c]) / n.Std[c])
		}
	}
	return out
}
