package dataset

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ulrl/pipeline/fault"
)

// readNumPy reads images and labels of .npy files, or of one .npz file.
func readNumPy(ctx context.Context, src Source) (*Set, error) {
	switch {
	case src.Images == "":
		return nil, fault.Misuse("data set: kind %q wants a file of images", KindNPY)
	case strings.HasSuffix(strings.ToLower(src.Images), ".npz"):
		return readNPZ(ctx, src)
	case src.Labels == "":
		return nil, fault.Misuse("data set: kind %q wants a file of labels beside %s", KindNPY, src.Images)
	}
	return src.arrays(src.Labels, func(check func([]int) error) (array, error) {
		return readNPYFile(ctx, src.Labels, check)
	}, func(check func([]int) error) (array, error) {
		return readNPYFile(ctx, src.Images, check)
	})
}

// arrays makes a set of two arrays, each read once its shape was checked. where
// tells of the labels, which come first: they say how many images there may be.
func (src Source) arrays(where string, labels, images func(check func(shape []int) error) (array, error)) (*Set, error) {
	set := &Set{Name: strings.TrimSuffix(filepath.Base(src.Images), filepath.Ext(src.Images))}
	a, err := labels(func(shape []int) error {
		if err := labelShape(shape); err != nil {
			return fault.Misuse("%s: %w", where, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if set.Labels, err = a.wholeNumbers(); err != nil {
		return nil, fault.Misuse("%s: %w", where, err)
	}
	if set.Classes, err = labelClasses(where, set.Labels, src.Classes); err != nil {
		return nil, err
	}
	var held layout
	a, err = images(func(shape []int) error {
		if shape[0] != len(set.Labels) {
			return fault.Misuse("%s holds %d images, but %s holds %d; they must come from the same set", src.Images, shape[0], where, len(set.Labels))
		}
		held, err = src.layout(shape)
		return err
	})
	if err != nil {
		return nil, err
	}
	set.C, set.H, set.W = held.c, held.h, held.w
	if set.Images, err = a.bytes(); err != nil {
		return nil, fault.Misuse("%s: %w", src.Images, err)
	}
	if held.last && set.C > 1 {
		set.Images = channelsFirst(set.Images, set.C, set.H*set.W)
	}
	return set, nil
}

// layout reads the shape of an array of images, which must be of the size and the
// shape asked for.
func (src Source) layout(shape []int) (layout, error) {
	held, err := arrayLayout(shape)
	if err != nil {
		return held, fault.Misuse("%s: %w", src.Images, err)
	}
	if err := checkSetSize(src.Images, shape[0], held.c, held.h, held.w); err != nil {
		return held, err
	}
	return held, src.checkShape(src.Images, held.c, held.h, held.w)
}

func readNPYFile(ctx context.Context, path string, check func(shape []int) error) (array, error) {
	info, err := os.Stat(path)
	if err != nil {
		return array{}, fileError("data file", path, err)
	}
	if !info.Mode().IsRegular() {
		return array{}, fault.Misuse("data file %s: not a regular file; name an .npy file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return array{}, fileError("data file", path, err)
	}
	defer f.Close()
	a, err := decodeNPY(contextReader{ctx, f}, check)
	return a, arrayError(path, err)
}

// arrayError tells a damaged file from a failing disk and from an interrupt. What
// is misuse already names the file.
func arrayError(what string, err error) error {
	var disk *fs.PathError
	switch {
	case err == nil, fault.IsMisuse(err):
		return err
	case errors.As(err, &disk), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("reading %s: %w", what, err)
	}
	return fault.Misuse("%s: %w", what, err)
}

// npzKeys are the names that images and labels go by in .npz files: of a split,
// or of a file with one split alone, whose split is "".
func npzKeys(split string) [][2]string {
	switch split {
	case Train:
		return [][2]string{{"x_train", "y_train"}, {"train_images", "train_labels"}, {"train_x", "train_y"}}
	case Test:
		return [][2]string{{"x_test", "y_test"}, {"test_images", "test_labels"}, {"test_x", "test_y"}}
	}
	return [][2]string{{"images", "labels"}, {"x", "y"}, {"data", "labels"}}
}

// HoldsTest tells whether a file of arrays has a test set beside the training set.
func HoldsTest(path string) bool {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return false // an .npy file; what is wrong with another is told when it is read
	}
	defer func() { _ = archive.Close() }() // it was only read
	_, of := chooseNPZ(partsOf(&archive.Reader), Test)
	return of == Test
}

func readNPZ(ctx context.Context, src Source) (*Set, error) {
	info, err := os.Stat(src.Images)
	if err != nil {
		return nil, fileError("data file", src.Images, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.Misuse("data file %s: not a regular file; name an .npz file", src.Images)
	}
	archive, err := zip.OpenReader(src.Images)
	if err != nil {
		return nil, arrayError(src.Images, err)
	}
	defer func() { _ = archive.Close() }() // it was only read
	parts := partsOf(&archive.Reader)
	keys, of := chooseNPZ(parts, src.Split)
	if keys[0] == "" {
		var names []string
		for _, f := range archive.File {
			names = append(names, arrayName(f))
		}
		slices.Sort(names)
		wanted := npzKeys(src.Split)[0]
		return nil, fault.Misuse("%s: no %s images in it: it has %.200q, wanted %s and %s, or images and labels",
			src.Images, src.Split, names, wanted[0], wanted[1])
	}
	// The accuracy would be that on the training images.
	if other, err := os.Stat(src.Other); of == "" && err == nil && os.SameFile(info, other) {
		return nil, fault.Misuse("%s: it has the images of one split and is named for both; name another file for the test set, or say data.test: none", src.Images)
	}
	part := func(key string) func(func([]int) error) (array, error) {
		return func(check func([]int) error) (array, error) {
			a, err := readNPZPart(ctx, parts[key], check)
			return a, arrayError(src.Images, err)
		}
	}
	return src.arrays(src.Images+", labels", part(keys[1]), part(keys[0]))
}

// partsOf are the arrays of an .npz file by their names, in lower case.
func partsOf(archive *zip.Reader) map[string]*zip.File {
	parts := map[string]*zip.File{}
	for _, f := range archive.File {
		parts[strings.ToLower(arrayName(f))] = f
	}
	return parts
}

func arrayName(f *zip.File) string { return strings.TrimSuffix(f.Name, ".npy") }

// chooseNPZ finds a split's pair of arrays, and the split that the file says they
// are of, "" for none. A file that has splits does not serve with what else is in it.
func chooseNPZ(parts map[string]*zip.File, split string) (keys [2]string, of string) {
	has := func(k [2]string) bool { return parts[k[0]] != nil && parts[k[1]] != nil }
	for _, of := range []string{split, Train, Test, ""} {
		for _, k := range npzKeys(of) {
			switch {
			case !has(k):
			case of == split || of == "":
				return k, of
			default:
				return keys, ""
			}
		}
	}
	return keys, ""
}

func readNPZPart(ctx context.Context, f *zip.File, check func(shape []int) error) (array, error) {
	r, err := f.Open()
	if err != nil {
		return array{}, err
	}
	defer func() { _ = r.Close() }() // its checksum is compared at its end
	a, err := decodeNPY(contextReader{ctx, r}, check)
	if err != nil && !fault.IsMisuse(err) {
		err = fmt.Errorf("%s: %w", f.Name, err)
	}
	return a, err
}

// layout is how an array holds images.
type layout struct {
	c, h, w int
	last    bool // N×H×W×C
}

// arrayLayout reads a shape as N×H×W, N×H×W×C or N×C×H×W, with 1 or 3 channels.
func arrayLayout(shape []int) (layout, error) {
	isC := func(n int) bool { return n == 1 || n == 3 }
	switch {
	case len(shape) == 3:
		return layout{1, shape[1], shape[2], false}, nil
	case len(shape) != 4:
		return layout{}, fmt.Errorf("images of %s; wanted N×H×W, N×H×W×C or N×C×H×W", joinDims(shape))
	case isC(shape[1]) && isC(shape[3]):
		return layout{}, fmt.Errorf("images of %s may be N×H×W×C or N×C×H×W: it cannot be told which", joinDims(shape))
	case isC(shape[3]):
		return layout{shape[3], shape[1], shape[2], true}, nil
	case isC(shape[1]):
		return layout{shape[1], shape[2], shape[3], false}, nil
	}
	return layout{}, fmt.Errorf("images of %s; wanted 1 or 3 channels, as N×H×W×C or N×C×H×W", joinDims(shape))
}

// channelsFirst turns pixels of c bytes each into planes, image by image.
func channelsFirst(data []uint8, c, plane int) []uint8 {
	out := make([]uint8, len(data))
	for at := 0; at < len(data); at += c * plane {
		for p := range plane {
			for k := range c {
				out[at+k*plane+p] = data[at+p*c+k]
			}
		}
	}
	return out
}
