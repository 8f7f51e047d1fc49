package dataset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// sign is a PPM of one colour; gtsrb's images are of many sizes.
func sign(w, h int, v byte) []byte { return ppm(w, h, slices.Repeat([]byte{v, v + 1, v + 2}, w*h)) }

const gtsrbHeader = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\r\n"

// gtsrbFiles is a small gtsrb, with its training images, test images and table
// in the folders given.
func gtsrbFiles(train, test, table string) map[string][]byte {
	files := map[string][]byte{}
	for i := range gtsrbClasses {
		folder := fmt.Sprintf("%s/%05d/", train, i)
		files[folder+"00000_00000.ppm"] = sign(30+i, 40, byte(i))
		files[folder+fmt.Sprintf("GT-%05d.csv", i)] = []byte(gtsrbHeader)
	}
	files[test+"/00000.ppm"], files[test+"/00001.ppm"] = sign(50, 50, 100), sign(33, 28, 200)
	files[table+"/"+gtsrbTable] = []byte(gtsrbHeader + "00001.ppm;33;28;5;5;20;20;42\r\n00000.ppm;50;50;5;5;20;20;16\r\n")
	return files
}

func TestReadGTSRB(t *testing.T) {
	for _, x := range []struct{ name, train, test, table string }{
		{"as torchvision unpacks", "GTSRB/Training", "GTSRB/Final_Test/Images", "."},
		{"the full archives", "GTSRB/Final_Training/Images", "GTSRB/Final_Test/Images", "GTSRB"},
		{"Train and Test", "Train", "Test", "Test"},
		{"the archive's own folder", "Final_Training/Images", "Final_Test/Images", "Final_Test/Images"},
		{"bare", ".", "Test", "."},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := makeFolder(t, gtsrbFiles(x.train, x.test, x.table))
			train, err := Read(context.Background(), SourceIn(KindGTSRB, dir, Train))
			must(t, err)
			if train.Len() != 43 || train.C != 3 || train.H != 32 || train.W != 32 || train.Classes[42] != "00042" || train.Labels[42] != 42 {
				t.Errorf("%d images %d×%d×%d", train.Len(), train.C, train.H, train.W)
			}
			for i := range 43 {
				if p := train.Image(i); p[5] != byte(i) || p[1024] != byte(i+1) || p[2*1024+1023] != byte(i+2) {
					t.Errorf("image %d is of %d, %d, %d", i, p[5], p[1024], p[2047])
				}
			}
			src := SourceIn(KindGTSRB, dir, Test)
			src.Height, src.Width, src.Channels, src.Classes = 7, 9, 1, 43
			test, err := Read(context.Background(), src)
			must(t, err)
			if !slices.Equal(test.Labels, []int64{42, 16}) || test.C != 1 || test.H != 7 || test.W != 9 || test.Image(0)[3] != 201 || test.Image(1)[3] != 101 {
				t.Errorf("labels %v, %d×%d×%d, %v", test.Labels, test.C, test.H, test.W, test.Images)
			}
			if !slices.Equal(test.Classes, train.Classes) {
				t.Error("the classes differ")
			}
		})
	}
}

func TestReadGTSRBErrors(t *testing.T) {
	table := func(text string) func(map[string][]byte) {
		return func(f map[string][]byte) { f["Test/"+gtsrbTable] = []byte(text) }
	}
	for _, x := range []struct {
		name   string
		change func(map[string][]byte)
		src    Source
		want   []string
	}{
		{"nothing", func(f map[string][]byte) { clear(f) }, Source{Split: Train}, []string{"no training images of gtsrb", "GTSRB/Training or Train"}},
		{"no test images", func(f map[string][]byte) { delete(f, "Test/00000.ppm"); delete(f, "Test/00001.ppm") }, Source{Split: Test}, []string{"no test images of gtsrb"}},
		{"no table", func(f map[string][]byte) {
			delete(f, "Test/"+gtsrbTable)
			f["Test/GT-final_test.test.csv"] = []byte(gtsrbHeader)
		}, Source{Split: Test}, []string{"no test images", "GTSRB_Final_Test_GT.zip"}},
		{"a class missing", func(f map[string][]byte) {
			for name := range f {
				if strings.HasPrefix(name, "Train/00007/") {
					delete(f, name)
				}
			}
		}, Source{Split: Train}, []string{"/Train: no folder of class 00007"}},
		{"an image missing", func(f map[string][]byte) { delete(f, "Test/00001.ppm") }, Source{Split: Test}, []string{"00001.ppm: not found"}},
		{"class beyond", table(gtsrbHeader + "00000.ppm;1;1;1;1;1;1;43\n"), Source{Split: Test}, []string{"line 2: class \"43\" is none of 0 to 42"}},
		{"outside", table(gtsrbHeader + "../../00000.ppm;1;1;1;1;1;1;4\n"), Source{Split: Test}, []string{"line 2: \"../../00000.ppm\" is no image's name"}},
		{"columns", table("a,b\n00000.ppm,4\n"), Source{Split: Test}, []string{"no columns Filename and ClassId"}},
		{"ragged", table(gtsrbHeader + "00000.ppm;4\n"), Source{Split: Test}, []string{"line 2: wrong number of fields"}},
		{"empty", table(""), Source{Split: Test}, []string{"no images in it"}},
		{"classes", func(map[string][]byte) {}, Source{Split: Test, Classes: 10}, []string{"gtsrb has 43 classes, but data.classes is 10"}},
		{"cut image", func(f map[string][]byte) { f["Train/00003/00000_00000.ppm"] = []byte("P6 3 3 255 x") }, Source{Split: Train}, []string{"00003/00000_00000.ppm: broken image"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			files := gtsrbFiles("Train", "Test", "Test")
			x.change(files)
			x.src.Kind, x.src.Dir = KindGTSRB, makeFolder(t, files)
			_, err := Read(context.Background(), x.src)
			wantMisuse(t, err, x.want...)
		})
	}
	// The test images are read without a look at those for training.
	files := gtsrbFiles("Train", "Test", "Test")
	for name := range files {
		if strings.HasPrefix(name, "Train/") {
			delete(files, name)
		}
	}
	alone := makeFolder(t, files)
	if set, err := Read(context.Background(), SourceIn(KindGTSRB, alone, Test)); err != nil || set.Len() != 2 {
		t.Errorf("test images alone: %v", err)
	}
	pipe := filepath.Join(alone, "Test", "00001.ppm")
	must(t, os.Remove(pipe))
	must(t, syscall.Mkfifo(pipe, 0o600))
	_, err := Read(context.Background(), SourceIn(KindGTSRB, alone, Test))
	wantMisuse(t, err, "00001.ppm: not a regular file")
	_, err = Read(context.Background(), SourceIn(KindGTSRB, filepath.Join(t.TempDir(), "none"), Train))
	wantMisuse(t, err, "/none: not found")
}
