package dataset

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ulrl/pipeline/fault"
)

// readIDXSet reads a pair of IDX files: images N×H×W or N×C×H×W, and labels N.
func readIDXSet(ctx context.Context, src Source) (*Set, error) {
	if src.Images == "" || src.Labels == "" {
		return nil, fault.Misuse("data set: kind %q wants a file of images and a file of labels", KindIDX)
	}
	// Labels first: they are small, and a mistake in them shows at once.
	labelPath, labels, err := readIDXFile(ctx, src.Labels, 1)
	if err != nil {
		return nil, err
	}
	imagePath, images, err := readIDXFile(ctx, src.Images, 3, 4)
	if err != nil {
		return nil, err
	}
	n, c, h, w := imageShape(images.dims)
	if n != labels.dims[0] {
		return nil, fault.Misuse("%s holds %d images, but %s holds %d labels; they must come from the same set",
			imagePath, n, labelPath, labels.dims[0])
	}
	if err := src.checkShape(imagePath, c, h, w); err != nil {
		return nil, err
	}
	set := &Set{Name: idxName(imagePath), C: c, H: h, W: w, Images: images.data, Labels: make([]int64, n)}
	for i, label := range labels.data {
		set.Labels[i] = int64(label)
	}
	set.Classes, err = labelClasses(labelPath, set.Labels, src.Classes)
	if err != nil {
		return nil, err
	}
	return set, nil
}

// readIDXFile reads the file path names, or the one beside it with or without
// ".gz"; it returns the name it found.
func readIDXFile(ctx context.Context, path string, wantDims ...int) (string, idxData, error) {
	found, info, err := findIDX(path)
	if err != nil {
		return "", idxData{}, err
	}
	// Opening a pipe would wait for a writer, and a device never ends.
	if !info.Mode().IsRegular() {
		return "", idxData{}, fault.Misuse("data file %s: not a regular file; name an IDX file", found)
	}
	f, err := os.Open(found)
	if err != nil {
		return "", idxData{}, fileError("data file", found, err)
	}
	defer f.Close()
	data, err := decodeIDX(contextReader{ctx, f}, info.Size(), found, wantDims...)
	return found, data, err
}

func findIDX(path string) (string, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err == nil {
		return path, info, nil
	}
	other := twin(path)
	if info, otherErr := os.Stat(other); otherErr == nil {
		return other, info, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, fault.Misuse("data file %s: not found, nor %s; %s", path, filepath.Base(other), remedy(path))
	}
	return "", nil, fileError("data file", path, err)
}

// twin is the name under which an IDX file is looked for where it is not found:
// without ".gz", or with it.
func twin(path string) string {
	if plain, cut := strings.CutSuffix(path, ".gz"); cut {
		return plain
	}
	return path + ".gz"
}

// differs reports whether a wanted size, 0 for any, is not the one there.
func differs(want, got int) bool { return want != 0 && want != got }

func wantedShape(src Source) string {
	part := func(n int) string {
		if n == 0 {
			return "any"
		}
		return strconv.Itoa(n)
	}
	return part(src.Channels) + "×" + part(src.Height) + "×" + part(src.Width)
}

// idxName is the image file's name without its endings.
func idxName(path string) string {
	return strings.TrimSuffix(filepath.Base(path), ".gz")
}

// readStep bounds one read, so that the context is looked at now and then.
const readStep = 8 << 20

// contextReader ends a long read when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p[:min(len(p), readStep)])
}
