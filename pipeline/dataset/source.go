package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"ulrl/pipeline/fault"
)

// The kinds of Source.
const (
	KindIDX          = "idx"
	KindFolder       = "folder"
	KindCIFAR        = "cifar"
	KindGTSRB        = "gtsrb"
	KindTinyImageNet = "tiny-imagenet"
	KindNPY          = "npy"
	KindAuto         = "auto" // by what lies in Source.Dir
)

// The splits of a set.
const (
	Train = "train"
	Test  = "test"
)

// maxSetBytes bounds all images of one set together.
const maxSetBytes = 64 << 30

// Source says where a set is and what shape is wanted.
type Source struct {
	// Kind is one of the Kind constants.
	Kind string
	// Split is Train or Test, for kinds whose folder holds both.
	Split string
	// Images and Labels are files: IDX, compressed with gzip or not, or NumPy's;
	// an .npz has the labels too.
	Images, Labels string
	// Other is the file of images of the other split, "" where there is none: an
	// .npz without splits does not serve for both.
	Other string
	// Dir is a folder: of kind folder one with a folder per class,
	// Dir/<class>/<anything>.{png,jpg,jpeg,ppm,pgm}, else the one that the set's
	// archive was unpacked to.
	Dir string
	// Classes is the class count; 0 takes it from the data.
	Classes int
	// Channels (1 grey, 3 RGB), Height and Width are the shape wanted; 0 takes
	// the kind's own or the first image's. Image files are converted and resized
	// to it, with Height and Width given together; arrays must already have it.
	Channels, Height, Width int
	// Workers is how many images are decoded at once; 0 means GOMAXPROCS.
	Workers int
}

// SourceIn is a split of the set of that kind in dir, by the usual names.
func SourceIn(kind, dir, split string) Source {
	src := Source{Kind: kind, Split: split}
	switch kind {
	case KindIDX:
		prefix := map[string]string{Train: "train", Test: "t10k"}[split]
		src.Images = filepath.Join(dir, prefix+"-images-idx3-ubyte.gz")
		src.Labels = filepath.Join(dir, prefix+"-labels-idx1-ubyte.gz")
	case KindFolder:
		src.Dir = filepath.Join(dir, split)
	default:
		src.Dir = dir
	}
	return src
}

// Paths are the files and folders that reading src may open; they need not be there.
func (src Source) Paths() []string {
	paths := []string{src.Images, src.Labels, src.Dir}
	if src.Kind == KindIDX {
		paths = append(paths, twin(src.Images), twin(src.Labels))
	}
	return paths
}

// Read reads the whole set. What the user can mend in the source or in the
// files is reported as misuse.
func Read(ctx context.Context, src Source) (*Set, error) {
	if src.Classes < 0 || src.Channels < 0 || src.Height < 0 || src.Width < 0 || src.Workers < 0 {
		return nil, fault.Misuse("data set: classes, channels, height, width and workers must not be negative: got %d, %d, %d, %d, %d",
			src.Classes, src.Channels, src.Height, src.Width, src.Workers)
	}
	switch src.Kind {
	case KindIDX:
		return readIDXSet(ctx, src)
	case KindFolder:
		return readFolder(ctx, src)
	case KindCIFAR:
		return readCIFAR(ctx, src)
	case KindGTSRB:
		return readGTSRB(ctx, src)
	case KindTinyImageNet:
		return readTinyImageNet(ctx, src)
	case KindNPY:
		return readNumPy(ctx, src)
	case KindAuto:
		return readFound(ctx, src)
	default:
		return nil, fault.Misuse("data set: kind %q is not known; use one of %s", src.Kind, strings.Join(Kinds(), ", "))
	}
}

// Kinds are the kinds that Read knows.
func Kinds() []string {
	return []string{KindIDX, KindFolder, KindCIFAR, KindGTSRB, KindTinyImageNet, KindNPY, KindAuto}
}

// checkSplit wants a folder and one of the two splits.
func (src Source) checkSplit() error {
	if src.Dir == "" {
		return fault.Misuse("data set: kind %q wants a folder", src.Kind)
	}
	if src.Split != Train && src.Split != Test {
		return fault.Misuse("data set: split %q is not known; use %q or %q", src.Split, Train, Test)
	}
	return nil
}

// checkShape wants images of path to have the shape asked for: arrays are not
// converted.
func (src Source) checkShape(path string, c, h, w int) error {
	if differs(src.Channels, c) || differs(src.Height, h) || differs(src.Width, w) {
		return fault.Misuse("%s: images are %d×%d×%d (channels×height×width), not the %s asked for; images of kind %s are not converted",
			path, c, h, w, wantedShape(src), src.Kind)
	}
	return nil
}

// fileError wraps an error of opening or listing path: a missing or forbidden
// file is the user's to mend, a failing disk is not.
func fileError(what, path string, err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.Misuse("%s %s: not found; %s", what, path, remedy(path))
	case errors.Is(err, fs.ErrPermission):
		return fault.Misuse("%s %s: no permission to read it", what, path)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP),
		errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.EINVAL):
		return fault.Misuse("%s %s: %w; check the path", what, path, err)
	default:
		return fmt.Errorf("reading %s %s: %w", what, path, err)
	}
}

// remedy is what to do about a missing path.
func remedy(path string) string {
	if strings.Contains(path, "fashion-mnist") {
		return "install it with: apt-get install dataset-fashion-mnist, or use ulrl data fetch fashion-mnist and set data.dir"
	}
	return "check the path"
}

// checkSetSize refuses a set whose images take more than maxSetBytes. All
// arguments are positive.
func checkSetSize(path string, n, c, h, w int) error {
	// Factors may come from a file's header: divide, a product could overflow.
	left := int64(maxSetBytes)
	for _, d := range []int{n, c, h, w} {
		left /= int64(d)
	}
	if left > 0 {
		return nil
	}
	gib := float64(n) * float64(c) * float64(h) * float64(w) / (1 << 30)
	return fault.Misuse("%s: %d images of %d×%d×%d take %.4g GiB of memory, more than the %d GiB allowed; use fewer or smaller images",
		path, n, c, h, w, gib, maxSetBytes>>30)
}
