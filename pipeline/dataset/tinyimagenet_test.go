package dataset

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// tinyFiles is a small Tiny ImageNet, its classes not in the order of their
// numbers, one training image grey.
func tinyFiles(t *testing.T, prefix string) map[string][]byte {
	files := map[string][]byte{
		prefix + "wnids.txt":                       []byte("n03\nn01\nn02\n"),
		prefix + "words.txt":                       []byte("n00\tnothing\nn01\tgoldfish, Carassius auratus\nn02\tgreat white shark\n"),
		prefix + "val/val_annotations.txt":         []byte("val_0.JPEG\tn03\t0\t0\t9\t9\nval_1.JPEG\tn01\t0\t0\t9\t9\n"),
		prefix + "val/images/val_0.JPEG":           jpegBytes(t, plain(8, 8, 200, 200, 200)),
		prefix + "val/images/val_1.JPEG":           jpegBytes(t, grey(8, 8, 60)),
		prefix + "test/images/test_0.JPEG":         jpegBytes(t, plain(8, 8, 9, 9, 9)),
		prefix + "train/n02/n02_boxes.txt":         []byte("n02_0.JPEG\t0\t0\t9\t9\n"),
		prefix + "train/n03/images/n03_0.JPEG":     jpegBytes(t, plain(8, 8, 120, 120, 120)),
		prefix + "train/n02/images/n02_0.JPEG":     jpegBytes(t, plain(8, 8, 80, 80, 80)),
		prefix + "train/n01/images/n01_0.JPEG":     jpegBytes(t, grey(8, 8, 40)),
		prefix + "train/n01/images/n01_1.JPEG":     jpegBytes(t, plain(8, 8, 50, 50, 50)),
		prefix + "train/n99/images/left_over.JPEG": jpegBytes(t, plain(8, 8, 50, 50, 50)),
	}
	return files
}

func sorted(files map[string][]byte) {
	files["val/n03/images/val_0.JPEG"], files["val/n01/val_1.JPEG"] = files["val/images/val_0.JPEG"], files["val/images/val_1.JPEG"]
	files["val/n02/val_2.JPEG"] = files["val/images/val_1.JPEG"]
	for _, name := range []string{"val/images/val_0.JPEG", "val/images/val_1.JPEG", "val/val_annotations.txt"} {
		delete(files, name)
	}
}

func TestReadTinyImageNet(t *testing.T) {
	for name, x := range map[string]struct {
		prefix string
		change func(map[string][]byte)
		labels []int64
		values []uint8
	}{
		"its own folder":   {"", func(map[string][]byte) {}, []int64{2, 0}, []uint8{200, 60}},
		"the folder above": {"tiny-imagenet-200/", func(map[string][]byte) {}, []int64{2, 0}, []uint8{200, 60}},
		"val sorted":       {"", sorted, []int64{0, 1, 2}, []uint8{60, 60, 200}},
	} {
		t.Run(name, func(t *testing.T) {
			files := tinyFiles(t, x.prefix)
			x.change(files)
			dir := makeFolder(t, files)
			train, err := Read(context.Background(), SourceIn(KindTinyImageNet, dir, Train))
			must(t, err)
			test, err := Read(context.Background(), SourceIn(KindTinyImageNet, dir, Test))
			must(t, err)
			if !slices.Equal(train.Classes, []string{"n01", "n02", "n03"}) || !slices.Equal(train.Titles, []string{"goldfish", "great white shark", "n03"}) {
				t.Errorf("classes %q, %q", train.Classes, train.Titles)
			}
			if sub := train.Subset([]int{1}); sub.Title(0) != "goldfish" || train.Title(2) != "n03" {
				t.Errorf("titles %q", sub.Titles)
			}
			value := func(s *Set) (v []uint8) {
				for i := range s.Len() {
					v = append(v, s.Image(i)[2*64+9]) // of blue: grey ones have it too
				}
				return v
			}
			if train.C != 3 || train.H != 8 || !slices.Equal(train.Labels, []int64{0, 0, 1, 2}) || !slices.Equal(value(train), []uint8{40, 50, 80, 120}) {
				t.Errorf("train %d×%d, %v %v", train.C, train.H, train.Labels, value(train))
			}
			if test.C != 3 || !slices.Equal(test.Labels, x.labels) || !slices.Equal(value(test), x.values) {
				t.Errorf("test %d, %v %v", test.C, test.Labels, value(test))
			}
		})
	}
}

func TestReadTinyImageNetErrors(t *testing.T) {
	put := func(name, text string) func(map[string][]byte) {
		return func(f map[string][]byte) { f[name] = []byte(text) }
	}
	for _, x := range []struct {
		name   string
		change func(map[string][]byte)
		src    Source
		want   []string
	}{
		{"no list", func(f map[string][]byte) { delete(f, "wnids.txt") }, Source{Split: Train}, []string{"wnids.txt: not found"}},
		{"empty list", put("wnids.txt", "\n"), Source{Split: Train}, []string{"wnids.txt: it is empty"}},
		{"twice", put("wnids.txt", "n01 n02 n01"), Source{Split: Train}, []string{"wnids.txt: it names a class twice"}},
		{"outside", put("wnids.txt", "n01 ../x"), Source{Split: Train}, []string{`"../x" is no class`}},
		{"class without folder", put("wnids.txt", "n01 n04"), Source{Split: Train}, []string{"/train: no folder of class n04"}},
		{"class without images", func(f map[string][]byte) { delete(f, "train/n02/images/n02_0.JPEG") }, Source{Split: Train}, []string{`class "n02" has no samples`}},
		{"no table", func(f map[string][]byte) { delete(f, "val/val_annotations.txt") }, Source{Split: Test}, []string{"val_annotations.txt: not found"}},
		{"unknown class", put("val/val_annotations.txt", "val_0.JPEG\tn01\nval_1.JPEG\tn77\t1\n"), Source{Split: Test}, []string{`line 2: class "n77"`}},
		{"image outside", put("val/val_annotations.txt", "../../x.JPEG\tn01\n"), Source{Split: Test}, []string{"is no image's name"}},
		{"empty table", put("val/val_annotations.txt", ""), Source{Split: Test}, []string{`line 1: class ""`}},
		{"image missing", func(f map[string][]byte) { delete(f, "val/images/val_1.JPEG") }, Source{Split: Test}, []string{"val_1.JPEG: not found"}},
		{"classes", func(map[string][]byte) {}, Source{Split: Train, Classes: 10}, []string{"3 classes there, but data.classes is 10"}},
		{"sizes", func(f map[string][]byte) { f["train/n02/images/n02_1.JPEG"] = jpegBytes(t, grey(9, 8, 1)) }, Source{Split: Train}, []string{"n02_1.JPEG: 8×9", "set data.size"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			files := tinyFiles(t, "")
			x.change(files)
			x.src.Kind, x.src.Dir = KindTinyImageNet, makeFolder(t, files)
			_, err := Read(context.Background(), x.src)
			wantMisuse(t, err, x.want...)
			if strings.Count(err.Error(), x.src.Dir) > 2 {
				t.Errorf("says where too often: %v", err)
			}
		})
	}
}
