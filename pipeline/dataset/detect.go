package dataset

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"ulrl/pipeline/fault"
)

// Detect tells the kind of the set that lies in dir, or of a file of arrays.
func Detect(dir string) (string, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", fileError("data folder", dir, err)
	}
	if !info.IsDir() {
		if ending := strings.ToLower(filepath.Ext(dir)); ending == ".npz" || ending == ".npy" {
			return KindNPY, nil
		}
		return "", fault.Misuse("%s: neither a folder nor NumPy's; name the folder that holds the data set", dir)
	}
	has := func(names ...string) bool { return exists(filepath.Join(append([]string{dir}, names...)...)) }
	for _, f := range cifarForms() {
		if f.in(dir) || f.in(filepath.Join(dir, f.folder)) {
			return KindCIFAR, nil
		}
	}
	if has("wnids.txt") || has(tinyFolder, "wnids.txt") {
		return KindTinyImageNet, nil
	}
	for _, at := range gtsrbTrainFolders() {
		switch {
		case !has(at, "00000") || !has(at, "00042"):
		case at == Train && isFolder(filepath.Join(dir, Test, "00000")):
			return KindFolder, nil // the archive's test images lie in one folder
		default:
			return KindGTSRB, nil
		}
	}
	if images := filepath.Base(SourceIn(KindIDX, dir, Train).Images); has(images) || has(strings.TrimSuffix(images, ".gz")) {
		return KindIDX, nil
	}
	if _, err := listClasses(filepath.Join(dir, Train)); err == nil {
		return KindFolder, nil
	}
	return "", fault.Misuse("data folder %s: no data set is known by what lies there; set data.kind to one of %s", dir, strings.Join(Kinds()[:len(Kinds())-1], ", "))
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// readFound reads a set of the kind that lies in src.Dir.
func readFound(ctx context.Context, src Source) (*Set, error) {
	if err := src.checkSplit(); err != nil {
		return nil, err
	}
	kind, err := Detect(src.Dir)
	if err != nil {
		return nil, err
	}
	if kind == KindNPY {
		return nil, fault.Misuse("data folder %s: not a folder; set data.kind to %s and name files of images", src.Dir, KindNPY)
	}
	found := SourceIn(kind, src.Dir, src.Split)
	found.Classes, found.Channels, found.Height, found.Width, found.Workers = src.Classes, src.Channels, src.Height, src.Width, src.Workers
	return Read(ctx, found)
}
