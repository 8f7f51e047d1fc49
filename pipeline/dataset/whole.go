package dataset

import (
	"context"
	"os"
	"slices"
	"strconv"

	"ulrl/pipeline/fault"
)

// maxListBytes bounds lists of names and labels in text.
const maxListBytes = 64 << 20

// readWhole reads a file of at most so many bytes; what says which it is.
func readWhole(ctx context.Context, what, path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fileError(what, path, err)
	}
	// Opening a pipe would wait for a writer, and a device never ends.
	if !info.Mode().IsRegular() {
		return nil, fault.Misuse("%s %s: not a regular file", what, path)
	}
	if info.Size() > most {
		return nil, fault.Misuse("%s %s: %d bytes are more than the %d MiB allowed", what, path, info.Size(), most>>20)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(what, path, err)
	}
	defer f.Close()
	text, err := readExactly(contextReader{ctx, f}, info.Size(), true)
	if err != nil {
		return nil, fileError(what, path, err)
	}
	return text, nil
}

// numberNames names so many classes by their numbers.
func numberNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return names
}

// maxClasses is what data.classes may be.
const maxClasses = 100_000

// labelClasses checks the labels and names the classes by their numbers. With
// count 0 the highest label decides, and then every class must occur.
func labelClasses(path string, labels []int64, count int) ([]string, error) {
	if count == 0 {
		count = int(max(1, min(slices.Max(labels)+1, maxClasses)))
		if err := checkLabels(path, labels, count); err != nil {
			return nil, err
		}
		seen := make([]bool, count)
		for _, label := range labels {
			seen[label] = true
		}
		if missing := slices.Index(seen, false); missing >= 0 {
			return nil, fault.Misuse("%s: class %d has no samples, though labels go up to %d; set data.classes if that is meant",
				path, missing, count-1)
		}
	}
	return numberNames(count), checkLabels(path, labels, count)
}

// checkLabels wants every label to be one of the classes.
func checkLabels(path string, labels []int64, classes int) error {
	for i, label := range labels {
		if label < 0 || label >= int64(classes) {
			return fault.Misuse("%s: label %d of image %d is beyond the %d classes (0 to %d); set data.classes higher or mend the file",
				path, label, i, classes, classes-1)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
