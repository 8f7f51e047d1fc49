package pipeline

import (
	"context"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/runstore"
)

// DataInfo is what is known of a config's data.
type DataInfo struct {
	Set      string      `json:"set"` // as the reader names it
	Channels int         `json:"channels"`
	Height   int         `json:"height"`
	Width    int         `json:"width"`
	Train    int         `json:"train"` // images
	Test     int         `json:"test"`
	Classes  []ClassInfo `json:"classes"`
	// Mean and Std are measured over the training set, of pixels scaled to 0..1,
	// per channel, as data.mean and data.std want them.
	Mean []float64 `json:"mean"`
	Std  []float64 `json:"std"`
	// Normalisation is what applies; nil where none is known.
	Normalisation *NormalisationInfo `json:"normalisation"`
	Flip          bool               `json:"flip"` // in augmentation
	Sheet         string             `json:"sheet,omitempty"`
}

// ClassInfo is a class and how many images it has.
type ClassInfo struct {
	Name  string `json:"name"`
	Title string `json:"title,omitempty"` // what people call it, where that is another
	Train int    `json:"train"`
	Test  int    `json:"test"`
}

// NormalisationInfo is the mean and the standard deviation that the images are
// normalised with, and who says so.
type NormalisationInfo struct {
	Mean []float64 `json:"mean"`
	Std  []float64 `json:"std"`
	From string    `json:"from"`
}

// DataOptions say what Data does beside looking.
type DataOptions struct {
	Sheet string // a contact sheet of the training set is written here; "": none
	// ByContent goes by what the set is found to be, not by data.name.
	ByContent bool
}

// Data reads the training set, and the test set where there is one, and tells
// what is in them. It needs no torch library.
func Data(ctx context.Context, c *config.Config, o DataOptions) (*DataInfo, error) {
	if o.Sheet != "" {
		if err := runstore.CheckWritable(o.Sheet); err != nil {
			return nil, err
		}
	}
	d, err := readSets(ctx, c, true)
	if err != nil {
		return nil, err
	}
	info := describe(d)
	name, from := c.Data.Name, "data.name "+c.Data.Name
	if o.ByContent {
		name, from = d.train.Name, "the usual ones of "+d.train.Name
	}
	if len(c.Data.Mean) > 0 {
		from = "data.mean and data.std"
	}
	n, err := dataset.NormalisationFor(name, c.Data.Mean, c.Data.Std, d.train.C)
	switch {
	case err == nil:
		info.Normalisation = &NormalisationInfo{n.Mean, n.Std, from}
	case !o.ByContent:
		return nil, err
	}
	info.Flip = dataset.FlipAllowed(name, c.Data.Flip)
	if o.Sheet == "" {
		return info, ctx.Err()
	}
	sheet, err := d.train.ContactSheet()
	if err != nil {
		return nil, err
	}
	info.Sheet = o.Sheet
	return info, runstore.WriteFileAtomic(o.Sheet, sheet, 0o644)
}

func describe(d images) *DataInfo {
	set := d.train
	info := &DataInfo{Set: set.Name, Channels: set.C, Height: set.H, Width: set.W, Train: set.Len()}
	info.Mean, info.Std = set.MeanStd()
	train, test := set.CountByClass(), make([]int, len(set.Classes))
	if d.test != nil {
		info.Test, test = d.test.Len(), d.test.CountByClass()
	}
	for i, name := range set.Classes {
		class := ClassInfo{Name: name, Train: train[i], Test: test[i]}
		if title := set.Title(i); title != name {
			class.Title = title
		}
		info.Classes = append(info.Classes, class)
	}
	return info
}
