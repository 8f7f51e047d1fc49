package dataset

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ulrl/pipeline/fault"
)

// CIFAR's images are 3×32×32, as planes.
const (
	cifarSide   = 32
	cifarPixels = 3 * cifarSide * cifarSide
)

// cifarForm is one of the four archives that the two sets come in.
type cifarForm struct {
	name        string
	folder      string // that the archive unpacks to
	classes     int
	train, test []string
	meta        string // has the classes' names
	// read gives a batch's images and labels.
	read func(f cifarForm, path string, text []byte) ([]uint8, []int64, error)
	// names gives the classes' names that are in meta.
	names func(f cifarForm, path string, text []byte) ([]string, error)
	// before is how many bytes of a binary record come before the label.
	before int
	// labels and labelNames are keys of the Python batches.
	labels, labelNames string
}

func cifarForms() []cifarForm {
	batches := func(ending string) (names []string) {
		for i := range 5 {
			names = append(names, "data_batch_"+strconv.Itoa(i+1)+ending)
		}
		return names
	}
	return []cifarForm{
		{name: "cifar10", folder: "cifar-10-batches-py", classes: 10, train: batches(""), test: []string{"test_batch"}, meta: "batches.meta",
			read: pickledBatch, names: pickledNames, labels: "labels", labelNames: "label_names"},
		{name: "cifar10", folder: "cifar-10-batches-bin", classes: 10, train: batches(".bin"), test: []string{"test_batch.bin"}, meta: "batches.meta.txt",
			read: binaryBatch, names: textNames},
		{name: "cifar100", folder: "cifar-100-python", classes: 100, train: []string{"train"}, test: []string{"test"}, meta: "meta",
			read: pickledBatch, names: pickledNames, labels: "fine_labels", labelNames: "fine_label_names"},
		{name: "cifar100", folder: "cifar-100-binary", classes: 100, train: []string{"train.bin"}, test: []string{"test.bin"}, meta: "fine_label_names.txt",
			read: binaryBatch, names: textNames, before: 1},
	}
}

// readCIFAR reads a split of CIFAR-10 or, with its fine labels, CIFAR-100.
func readCIFAR(ctx context.Context, src Source) (*Set, error) {
	if err := src.checkSplit(); err != nil {
		return nil, err
	}
	form, dir, err := findCIFAR(src)
	if err != nil {
		return nil, err
	}
	if differs(src.Classes, form.classes) {
		return nil, fault.Misuse("%s holds %s, of %d classes, but data.classes is %d; set it to %d or 0", dir, form.name, form.classes, src.Classes, form.classes)
	}
	if err := src.checkShape(dir, 3, cifarSide, cifarSide); err != nil {
		return nil, err
	}
	set := &Set{Name: form.name, C: 3, H: cifarSide, W: cifarSide}
	if set.Classes, err = form.classNames(ctx, dir); err != nil {
		return nil, err
	}
	files := form.train
	if src.Split == Test {
		files = form.test
	}
	for _, name := range files {
		path := filepath.Join(dir, name)
		text, err := readWhole(ctx, "CIFAR batch", path, maxBatchBytes)
		if err != nil {
			return nil, err
		}
		images, labels, err := form.read(form, path, text)
		if err != nil {
			return nil, err
		}
		if err := checkLabels(path, labels, form.classes); err != nil {
			return nil, err
		}
		set.Images, set.Labels = append(set.Images, images...), append(set.Labels, labels...)
	}
	return set, nil
}

// maxBatchBytes is well above the largest batch, CIFAR-100's of 155 MB.
const maxBatchBytes = 1 << 30

// findCIFAR tells which archive was unpacked to src.Dir, or is that folder.
// Where both sets lie there, src.Classes chooses.
func findCIFAR(src Source) (form cifarForm, dir string, err error) {
	if _, err := os.ReadDir(src.Dir); err != nil {
		return form, "", fileError("data folder", src.Dir, err)
	}
	for _, f := range cifarForms() {
		at := filepath.Join(src.Dir, f.folder)
		if !f.in(at) {
			at = src.Dir
		}
		switch {
		case !f.in(at) || f.name == form.name:
		case form.name == "" || src.Classes == f.classes:
			form, dir = f, at
		case src.Classes != form.classes:
			return form, "", fault.Misuse("data folder %s: holds %s and %s; name one in data.dir, or set data.classes", src.Dir, form.folder, f.folder)
		}
	}
	if form.name == "" {
		return form, "", fault.Misuse("data folder %s: no CIFAR in it: wanted %s, or one of the other three archives' folders", src.Dir, cifarForms()[0].folder)
	}
	return form, dir, nil
}

// in reports whether any of the form's batches is in dir.
func (f cifarForm) in(dir string) bool {
	for _, name := range append(append([]string{}, f.train...), f.test...) {
		// Folders of images are called train and test as well.
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// classNames is the classes' names, their numbers where there is no meta file.
func (f cifarForm) classNames(ctx context.Context, dir string) ([]string, error) {
	path := filepath.Join(dir, f.meta)
	if _, err := os.Stat(path); err != nil {
		return numberNames(f.classes), nil
	}
	text, err := readWhole(ctx, "class names", path, maxListBytes)
	if err != nil {
		return nil, err
	}
	names, err := f.names(f, path, text)
	if err == nil && len(names) != f.classes {
		err = fault.Misuse("class names %s: it names %d classes, wanted %d; unpack the archive again", path, len(names), f.classes)
	}
	return names, err
}

func textNames(_ cifarForm, _ string, text []byte) ([]string, error) {
	return strings.Fields(string(text)), nil
}

// binaryBatch reads records of a label and an image.
func binaryBatch(f cifarForm, path string, text []byte) ([]uint8, []int64, error) {
	record := f.before + 1 + cifarPixels
	if len(text) == 0 || len(text)%record != 0 {
		return nil, nil, fault.Misuse("CIFAR batch %s: %d bytes are no whole number of records of %d; unpack the archive again", path, len(text), record)
	}
	n := len(text) / record
	images, labels := make([]uint8, 0, n*cifarPixels), make([]int64, n)
	for i := range labels {
		at := text[i*record : (i+1)*record]
		labels[i] = int64(at[f.before])
		images = append(images, at[f.before+1:]...)
	}
	return images, labels, nil
}
