package dataset

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ulrl/pipeline/fault"
)

const (
	gtsrbClasses = 43
	gtsrbSide    = 32 // what the field resizes the signs to
	gtsrbTable   = "GT-final_test.csv"
)

// readGTSRB reads a split of the German traffic signs: whole images, whatever
// box the tables give for the sign in them.
func readGTSRB(ctx context.Context, src Source) (*Set, error) {
	if err := src.checkSplit(); err != nil {
		return nil, err
	}
	if src.Channels == 0 {
		src.Channels = 3
	}
	if src.Height == 0 && src.Width == 0 {
		src.Height, src.Width = gtsrbSide, gtsrbSide
	}
	if err := checkFolderSource(src); err != nil {
		return nil, err
	}
	if differs(src.Classes, gtsrbClasses) {
		return nil, fault.Misuse("%s: gtsrb has %d classes, but data.classes is %d; set it to %d or 0", src.Dir, gtsrbClasses, src.Classes, gtsrbClasses)
	}
	if _, err := os.ReadDir(src.Dir); err != nil {
		return nil, fileError("data folder", src.Dir, err)
	}
	classes := make([]string, gtsrbClasses)
	for i := range classes {
		classes[i] = fmt.Sprintf("%05d", i)
	}
	var files []imageFile
	var err error
	if src.Split == Test {
		files, err = gtsrbTest(ctx, src)
	} else {
		files, err = gtsrbTrain(ctx, src, classes)
	}
	if err != nil {
		return nil, err
	}
	return readImageFiles(ctx, src, KindGTSRB, files, classes)
}

func gtsrbTrainFolders() []string {
	// The first has all 39,209 images; GTSRB/Training is torchvision's 26,640.
	return []string{"GTSRB/Final_Training/Images", "GTSRB/Training", "Final_Training/Images", "Training", "Train", "train", "."}
}

// gtsrbTrain lists the class folders 00000 to 00042, wherever the archives or
// their users put them.
func gtsrbTrain(ctx context.Context, src Source, classes []string) ([]imageFile, error) {
	for _, at := range gtsrbTrainFolders() {
		dir := filepath.Join(src.Dir, at)
		if isFolder(filepath.Join(dir, classes[0])) {
			return listClassImages(ctx, dir, classes)
		}
	}
	return nil, fault.Misuse("data folder %s: no training images of gtsrb: wanted class folders %s to %s in GTSRB/Training or Train", src.Dir, classes[0], classes[gtsrbClasses-1])
}

// gtsrbTest lists the test images, which lie in one folder, by their table.
func gtsrbTest(ctx context.Context, src Source) ([]imageFile, error) {
	for _, at := range []string{"GTSRB/Final_Test/Images", "Final_Test/Images", "Test", "test", "."} {
		dir := filepath.Join(src.Dir, at)
		for _, table := range []string{filepath.Join(dir, gtsrbTable), filepath.Join(src.Dir, gtsrbTable), filepath.Join(src.Dir, "GTSRB", gtsrbTable)} {
			if _, err := os.Stat(table); err != nil {
				continue
			}
			if first, err := hasImages(dir); err != nil || !first {
				continue
			}
			return gtsrbRows(ctx, table, dir)
		}
	}
	return nil, fault.Misuse("data folder %s: no test images of gtsrb: wanted GTSRB/Final_Test/Images or Test with images in it, and %s (from GTSRB_Final_Test_GT.zip), which has their classes", src.Dir, gtsrbTable)
}

// hasImages reports whether images lie in dir itself.
func hasImages(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !e.IsDir() && imageName(e.Name()) }), err
}

// gtsrbRows reads the table: Filename;Width;Height;Roi.X1;…;ClassId.
func gtsrbRows(ctx context.Context, table, dir string) ([]imageFile, error) {
	text, err := readWhole(ctx, "table", table, maxListBytes)
	if err != nil {
		return nil, err
	}
	reader := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(text), "\ufeff")))
	reader.Comma, reader.TrimLeadingSpace = ';', true
	rows, err := reader.ReadAll()
	if err != nil {
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			err = fmt.Errorf("line %d: %w", parse.Line, parse.Err)
		}
		return nil, fault.Misuse("table %s: %w; unpack the archive again", table, err)
	}
	if len(rows) < 2 {
		return nil, fault.Misuse("table %s: no images in it; unpack the archive again", table)
	}
	name, class := slices.Index(rows[0], "Filename"), slices.Index(rows[0], "ClassId")
	if name < 0 || class < 0 {
		return nil, fault.Misuse("table %s: no columns Filename and ClassId, set apart by semicolons; it must be the table with the classes", table)
	}
	var files []imageFile
	for i, row := range rows[1:] {
		label, err := strconv.Atoi(row[class])
		switch {
		case err != nil || label < 0 || label >= gtsrbClasses:
			return nil, fault.Misuse("table %s, line %d: class %q is none of 0 to %d", table, i+2, row[class], gtsrbClasses-1)
		case !filepath.IsLocal(row[name]) || strings.ContainsRune(row[name], 0):
			return nil, fault.Misuse("table %s, line %d: %q is no image's name", table, i+2, row[name])
		}
		files = append(files, imageFile{filepath.Join(dir, row[name]), int64(label)})
	}
	return files, nil
}
