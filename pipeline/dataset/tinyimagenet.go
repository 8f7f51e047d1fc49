package dataset

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"ulrl/pipeline/fault"
)

const tinyFolder = "tiny-imagenet-200"

// readTinyImageNet reads a split of Tiny ImageNet; its test split is the archive's
// val, since the archive's test images have no labels. Classes are in the order of
// their WordNet numbers, as folders of images are read elsewhere, not in that of
// wnids.txt.
func readTinyImageNet(ctx context.Context, src Source) (*Set, error) {
	if err := src.checkSplit(); err != nil {
		return nil, err
	}
	if src.Channels == 0 {
		src.Channels = 3 // some are grey
	}
	if err := checkFolderSource(src); err != nil {
		return nil, err
	}
	if inner := filepath.Join(src.Dir, tinyFolder); exists(inner) {
		src.Dir = inner
	}
	classes, err := tinyClasses(ctx, src.Dir)
	if err != nil {
		return nil, err
	}
	if differs(src.Classes, len(classes)) {
		return nil, fault.Misuse("%s: tiny-imagenet has %d classes there, but data.classes is %d; set it to %d or 0", src.Dir, len(classes), src.Classes, len(classes))
	}
	files, err := tinyImages(ctx, src, classes)
	if err != nil {
		return nil, err
	}
	set, err := readImageFiles(ctx, src, KindTinyImageNet, files, classes)
	if err != nil {
		return nil, err
	}
	set.Titles, err = tinyTitles(ctx, src.Dir, classes)
	return set, err
}

// tinyClasses is what wnids.txt names, sorted.
func tinyClasses(ctx context.Context, dir string) ([]string, error) {
	path := filepath.Join(dir, "wnids.txt")
	text, err := readWhole(ctx, "list of classes", path, maxListBytes)
	if err != nil {
		return nil, err
	}
	classes := strings.Fields(string(text))
	slices.Sort(classes)
	switch unique := slices.Compact(slices.Clone(classes)); {
	case len(classes) == 0:
		return nil, fault.Misuse("list of classes %s: it is empty; unpack the archive again", path)
	case len(unique) < len(classes):
		return nil, fault.Misuse("list of classes %s: it names a class twice; unpack the archive again", path)
	}
	for _, class := range classes {
		if !filepath.IsLocal(class) || strings.ContainsAny(class, "/\x00") {
			return nil, fault.Misuse("list of classes %s: %q is no class", path, class)
		}
	}
	return classes, nil
}

func tinyImages(ctx context.Context, src Source, classes []string) ([]imageFile, error) {
	dir := filepath.Join(src.Dir, "train")
	if src.Split == Test {
		dir = filepath.Join(src.Dir, "val")
		if table := filepath.Join(dir, "val_annotations.txt"); !exists(filepath.Join(dir, classes[0])) {
			return tinyAnnotated(ctx, table, filepath.Join(dir, "images"), classes)
		}
	}
	return listClassImages(ctx, dir, classes)
}

// tinyAnnotated reads the table of val: name, class and a box, set apart by tabs.
func tinyAnnotated(ctx context.Context, table, dir string, classes []string) ([]imageFile, error) {
	text, err := readWhole(ctx, "table", table, maxListBytes)
	if err != nil {
		return nil, err
	}
	var files []imageFile
	for i, line := range strings.Split(strings.TrimRight(string(text), "\r\n"), "\n") {
		name, rest, _ := strings.Cut(line, "\t")
		class, _, _ := strings.Cut(strings.TrimRight(rest, "\r"), "\t")
		label, ok := slices.BinarySearch(classes, class)
		switch {
		case !ok:
			return nil, fault.Misuse("table %s, line %d: class %q is none of wnids.txt", table, i+1, class)
		case !filepath.IsLocal(name) || strings.ContainsRune(name, 0):
			return nil, fault.Misuse("table %s, line %d: %q is no image's name", table, i+1, name)
		}
		files = append(files, imageFile{filepath.Join(dir, name), int64(label)})
	}
	return files, nil
}

// tinyTitles is what words.txt calls the classes, by the first of their words.
func tinyTitles(ctx context.Context, dir string, classes []string) ([]string, error) {
	path := filepath.Join(dir, "words.txt")
	if !exists(path) {
		return nil, nil
	}
	text, err := readWhole(ctx, "list of words", path, maxListBytes)
	if err != nil {
		return nil, err
	}
	titles := slices.Clone(classes)
	for line := range strings.Lines(string(text)) {
		class, words, _ := strings.Cut(strings.TrimSpace(line), "\t")
		word, _, _ := strings.Cut(words, ",")
		if label, ok := slices.BinarySearch(classes, class); ok && word != "" {
			titles[label] = word
		}
	}
	return titles, nil
}
