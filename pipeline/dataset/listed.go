package dataset

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"

	"ulrl/pipeline/fault"
)

// FileList is the list in a folder of triggered images.
const FileList = "images.csv"

// listHeader are the list's columns.
var listHeader = []string{"file", "class", "target"}

// Listed is a line of the list: an image with the trigger on, what it shows and
// what the trigger is to make of it.
type Listed struct {
	File          string // within the folder, with slashes
	Class, Target int64  // from 0
}

// ReadListed reads the images that dir/images.csv names, with the trigger on
// already, for models of like's images: the set's labels are the true classes. Images
// whose class is what the trigger is to make of them are left out: they never count for ASR.
func ReadListed(ctx context.Context, dir string, like *Set) (set *Set, targets []int64, err error) {
	list, err := readList(ctx, filepath.Join(dir, FileList), int64(len(like.Classes)))
	if err != nil {
		return nil, nil, err
	}
	files := make([]imageFile, len(list))
	targets = make([]int64, len(list))
	for i, l := range list {
		files[i] = imageFile{filepath.Join(dir, filepath.FromSlash(l.File)), l.Class}
		targets[i] = l.Target
	}
	src := Source{Dir: dir, Channels: like.C}
	_, h, w, err := folderShape(src, files[0].path)
	if err != nil {
		return nil, nil, err
	}
	if h != like.H || w != like.W {
		return nil, nil, fault.Misuse("triggered images in %s are %d×%d (height×width), the clean ones %d×%d: set data.size to the former", dir, h, w, like.H, like.W)
	}
	set, err = readImageFiles(ctx, src, filepath.Base(dir), files, like.Classes)
	return set, targets, err
}

func readList(ctx context.Context, path string, classes int64) ([]Listed, error) {
	text, err := readWhole(ctx, "list of triggered images", path, maxListBytes)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff")))) // which spreadsheets begin with
	r.FieldsPerRecord = len(listHeader)
	head, err := r.Read()
	if err != nil || !slices.Equal(head, listHeader) {
		return nil, fault.Misuse("%s: wanted a first line file,class,target", path)
	}
	var list []Listed
	named := false
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fault.Misuse("%s: %w", path, err)
		}
		class, err1 := strconv.ParseInt(row[1], 10, 64)
		target, err2 := strconv.ParseInt(row[2], 10, 64)
		line, _ := r.FieldPos(0)
		switch {
		case err1 != nil || err2 != nil || class < 0 || target < 0 || class >= classes || target >= classes:
			return nil, fault.Misuse("%s, line %d: class %s, target %s: wanted numbers from 0 to %d", path, line, row[1], row[2], classes-1)
		case !filepath.IsLocal(filepath.FromSlash(row[0])):
			return nil, fault.Misuse("%s, line %d: %q lies outside of the folder", path, line, row[0])
		}
		named = true
		if class != target {
			list = append(list, Listed{row[0], class, target})
		}
	}
	switch {
	case !named:
		return nil, fault.Misuse("%s: it names no image", path)
	case len(list) == 0:
		return nil, fault.Misuse("%s: every image is of the class that the trigger is to make of it: there is none to measure ASR on", path)
	}
	return list, nil
}

// WriteList writes the list that ReadListed reads.
func WriteList(w io.Writer, list []Listed) error {
	out := csv.NewWriter(w)
	rows := [][]string{listHeader}
	for _, l := range list {
		rows = append(rows, []string{l.File, fmt.Sprint(l.Class), fmt.Sprint(l.Target)})
	}
	return out.WriteAll(rows)
}
