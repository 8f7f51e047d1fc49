package dataset

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ulrl/pipeline/fault"
)

// imageFile is one image of a folder and its label.
type imageFile struct {
	path  string
	label int64
}

// readFolder reads src.Dir/<class>/… with the classes sorted by name, or by
// number where all names are integers, and the images of a class by path.
func readFolder(ctx context.Context, src Source) (*Set, error) {
	if err := checkFolderSource(src); err != nil {
		return nil, err
	}
	classes, err := listClasses(src.Dir)
	if err != nil {
		return nil, err
	}
	if src.Classes > 0 && src.Classes != len(classes) {
		return nil, classCountError(src.Dir, classes, src.Classes)
	}
	files, err := listImages(ctx, src.Dir, classes)
	if err != nil {
		return nil, err
	}
	return readImageFiles(ctx, src, filepath.Base(src.Dir), files, classes)
}

// readImageFiles reads files, which are at least one, into a set.
func readImageFiles(ctx context.Context, src Source, name string, files []imageFile, classes []string) (*Set, error) {
	c, h, w, err := folderShape(src, files[0].path)
	if err != nil {
		return nil, err
	}
	if err := checkSetSize(src.Dir, len(files), c, h, w); err != nil {
		return nil, err
	}
	set := &Set{
		Name: name, C: c, H: h, W: w, Classes: classes,
		Images: make([]uint8, len(files)*c*h*w),
		Labels: make([]int64, len(files)),
	}
	for i, f := range files {
		set.Labels[i] = f.label
	}
	if err := decodeAll(ctx, files, set, src); err != nil {
		return nil, err
	}
	return set, nil
}

func checkFolderSource(src Source) error {
	switch {
	case src.Dir == "":
		return fault.Misuse("data set: kind %q wants a folder", src.Kind)
	case src.Channels != 0 && src.Channels != 1 && src.Channels != 3:
		return fault.Misuse("data set %s: %d channels asked for; use 1 (grey) or 3 (RGB)", src.Dir, src.Channels)
	case (src.Height == 0) != (src.Width == 0):
		return fault.Misuse("data set %s: size %d×%d asked for; give height and width, or neither", src.Dir, src.Height, src.Width)
	case src.Height > maxPixels || src.Width > maxPixels || src.Height*src.Width > maxPixels:
		return fault.Misuse("data set %s: size %d×%d asked for; an image may have %d pixels", src.Dir, src.Height, src.Width, maxPixels)
	}
	return nil
}

// listClasses is the names of dir's class folders in label order.
func listClasses(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fileError("data folder", dir, err)
	}
	var classes []string
	images := 0
	for _, e := range entries {
		switch {
		case hidden(e.Name()):
		case isDir(dir, e):
			classes = append(classes, e.Name())
		case imageName(e.Name()):
			images++
		}
	}
	if len(classes) == 0 && images > 0 {
		return nil, fault.Misuse("data folder %s: no class folders, only %d images; sort them into %s",
			dir, images, filepath.Join(dir, "CLASS", "IMAGE"))
	}
	if len(classes) == 0 {
		return nil, fault.Misuse("data folder %s: no class folders; wanted are images in %s", dir, filepath.Join(dir, "CLASS", "IMAGE"))
	}
	sortClasses(classes)
	return classes, nil
}

// sortClasses sorts by number where all names are integers, else by name.
func sortClasses(names []string) {
	numbers := make(map[string]int, len(names))
	for _, name := range names {
		n, err := strconv.Atoi(name)
		if err != nil {
			slices.Sort(names)
			return
		}
		numbers[name] = n
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(numbers[a], numbers[b]), cmp.Compare(a, b))
	})
}

// classCountError says that the folders are not the want classes, and which
// one is missing where they are numbered from 0.
func classCountError(dir string, classes []string, want int) error {
	missing := 0
	for missing < len(classes) {
		if n, err := strconv.Atoi(classes[missing]); err != nil || n != missing {
			break
		}
		missing++
	}
	if missing > 0 && missing < want && len(classes) < want {
		return fault.Misuse("data folder %s: class %d has no folder: %d folders, but data.classes is %d", dir, missing, len(classes), want)
	}
	if len(classes) > want {
		return fault.Misuse("data folder %s: %d class folders, but data.classes is %d; which of %s is none?", dir, len(classes), want, some(classes))
	}
	return fault.Misuse("data folder %s: %d class folders, but data.classes is %d; every class needs its folder", dir, len(classes), want)
}

// some are the last of many names, among which what does not belong there is found.
func some(names []string) string {
	const shown = 8
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return "… " + strings.Join(names[len(names)-shown:], ", ")
}

// listImages is every image of every class, in label order and then by path.
func listImages(ctx context.Context, dir string, classes []string) ([]imageFile, error) {
	var files []imageFile
	empty := ""
	for label, class := range classes {
		paths, err := classImages(ctx, filepath.Join(dir, class))
		if err != nil {
			return nil, err
		}
		if len(paths) == 0 && empty == "" {
			empty = class
		}
		slices.Sort(paths)
		for _, path := range paths {
			files = append(files, imageFile{path, int64(label)})
		}
	}
	if len(files) == 0 {
		return nil, fault.Misuse("data folder %s: no image (PNG, JPEG, PPM, PGM) in its %d class folders", dir, len(classes))
	}
	if empty != "" {
		return nil, fault.Misuse("data folder %s: class %q has no samples: no image (PNG, JPEG, PPM, PGM) in its folder; add some or remove it", dir, empty)
	}
	return files, nil
}

// listClassImages is listImages of classes that the set is known to have; other
// folders are left alone.
func listClassImages(ctx context.Context, dir string, classes []string) ([]imageFile, error) {
	for _, class := range classes {
		if !exists(filepath.Join(dir, class)) {
			return nil, fault.Misuse("data folder %s: no folder of class %s; unpack the archive again", dir, class)
		}
	}
	return listImages(ctx, dir, classes)
}

// classImages is the images below a class folder, which may be a link.
func classImages(ctx context.Context, dir string) ([]string, error) {
	var paths []string
	// The separator makes WalkDir follow dir itself; links below it are not followed.
	err := filepath.WalkDir(dir+string(filepath.Separator), func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fileError("data folder", path, err)
		case ctx.Err() != nil:
			return fmt.Errorf("listing %s: %w", dir, ctx.Err())
		case hidden(e.Name()):
			if e.IsDir() {
				return fs.SkipDir
			}
		case e.IsDir():
		case imageName(e.Name()):
			paths = append(paths, path)
		case foreignName(e.Name()): // passed over, a class would quietly have fewer images
			return fault.Misuse("%s: images of this form are not read; convert it to PNG, or remove it", path)
		}
		return nil
	})
	return paths, err
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") }

// isDir reports whether e is a directory or a link to one.
func isDir(dir string, e fs.DirEntry) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.IsDir()
	}
	return isFolder(filepath.Join(dir, e.Name()))
}

func imageName(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".png", ".jpg", ".jpeg", ".ppm", ".pgm":
		return true
	}
	return false
}

// foreignName tells images that are none of those that are read.
func foreignName(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".jp2", ".jxl":
		return true
	}
	return false
}
