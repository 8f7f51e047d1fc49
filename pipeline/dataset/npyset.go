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
	var images, labels array
	var err error
	var where string // the labels are
	switch {
	case src.Images == "":
		return nil, fault.Misuse("data set: kind %q wants a file of images", KindNPY)
	case strings.HasSuffix(strings.ToLower(src.Images), ".npz"):
		where = src.Images + ", labels"
		images, labels, err = readNPZ(ctx, src)
	case src.Labels == "":
		return nil, fault.Misuse("data set: kind %q wants a file of labels beside %s", KindNPY, src.Images)
	default:
		where = src.Labels
		if labels, err = readNPYFile(ctx, src.Labels); err == nil {
			images, err = readNPYFile(ctx, src.Images)
		}
	}
	if err != nil {
		return nil, err
	}
	set := &Set{Name: strings.TrimSuffix(filepath.Base(src.Images), filepath.Ext(src.Images))}
	if set.Labels, err = labels.wholeNumbers(); err != nil {
		return nil, fault.Misuse("%s: %w", where, err)
	}
	if n := images.shape[0]; n != len(set.Labels) {
		return nil, fault.Misuse("%s holds %d images, but %s holds %d; they must come from the same set", src.Images, n, where, len(set.Labels))
	}
	if set.Classes, err = labelClasses(where, set.Labels, src.Classes); err != nil {
		return nil, err
	}
	if err := images.fill(set, src); err != nil {
		return nil, err
	}
	return set, nil
}

// fill makes an array the images of set.
func (a array) fill(set *Set, src Source) error {
	layout, err := arrayLayout(a.shape)
	if err != nil {
		return fault.Misuse("%s: %w", src.Images, err)
	}
	set.C, set.H, set.W = layout.c, layout.h, layout.w
	if err := checkSetSize(src.Images, a.shape[0], set.C, set.H, set.W); err != nil {
		return err
	}
	if err := src.checkShape(src.Images, set.C, set.H, set.W); err != nil {
		return err
	}
	if set.Images, err = a.bytes(); err != nil {
		return fault.Misuse("%s: %w", src.Images, err)
	}
	if layout.last && set.C > 1 {
		set.Images = channelsFirst(set.Images, set.C, set.H*set.W)
	}
	return nil
}

func readNPYFile(ctx context.Context, path string) (array, error) {
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
	a, err := decodeNPY(contextReader{ctx, f})
	return a, arrayError(path, err)
}

// arrayError tells a damaged file from a failing disk and from an interrupt.
func arrayError(what string, err error) error {
	var disk *fs.PathError
	switch {
	case err == nil:
		return nil
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

func readNPZ(ctx context.Context, src Source) (images, labels array, err error) {
	if info, err := os.Stat(src.Images); err != nil {
		return images, labels, fileError("data file", src.Images, err)
	} else if !info.Mode().IsRegular() {
		return images, labels, fault.Misuse("data file %s: not a regular file; name an .npz file", src.Images)
	}
	archive, err := zip.OpenReader(src.Images)
	if err != nil {
		return images, labels, arrayError(src.Images, err)
	}
	defer func() { _ = archive.Close() }() // it was only read
	parts := map[string]*zip.File{}
	var names []string
	for _, f := range archive.File {
		name := strings.TrimSuffix(f.Name, ".npy")
		parts[strings.ToLower(name)] = f
		names = append(names, name)
	}
	keys, ok := chooseNPZ(parts, src.Split)
	if !ok {
		slices.Sort(names)
		wanted := npzKeys(src.Split)[0]
		return images, labels, fault.Misuse("%s: no %s images in it: it has %.200q, wanted %s and %s, or images and labels",
			src.Images, src.Split, names, wanted[0], wanted[1])
	}
	if labels, err = readNPZPart(ctx, parts[keys[1]]); err == nil {
		images, err = readNPZPart(ctx, parts[keys[0]])
	}
	return images, labels, arrayError(src.Images, err)
}

// chooseNPZ finds a split's pair of arrays. A file that has splits does not serve
// with what else is in it.
func chooseNPZ(parts map[string]*zip.File, split string) (keys [2]string, ok bool) {
	has := func(k [2]string) bool { return parts[k[0]] != nil && parts[k[1]] != nil }
	for _, of := range []string{split, Train, Test, ""} {
		for _, k := range npzKeys(of) {
			if has(k) {
				return k, of == split || of == ""
			}
		}
	}
	return keys, false
}

func readNPZPart(ctx context.Context, f *zip.File) (array, error) {
	r, err := f.Open()
	if err != nil {
		return array{}, err
	}
	defer func() { _ = r.Close() }() // its checksum is compared at its end
	a, err := decodeNPY(contextReader{ctx, r})
	if err != nil {
		return a, fmt.Errorf("%s: %w", f.Name, err)
	}
	return a, nil
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
