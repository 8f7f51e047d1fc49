package dataset

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"ulrl/pipeline/fault"
)

func TestReadListed(t *testing.T) {
	like := &Set{C: 1, H: 2, W: 3, Classes: numberNames(4)}
	px := pngBytes(t, plain(3, 2, 9, 9, 9))
	folder := func(list string) string {
		return makeFolder(t, map[string][]byte{FileList: []byte(list), "a/1.png": px, "2.png": pngBytes(t, grey(3, 2, 7)), "wide.png": pngBytes(t, grey(4, 2, 7))})
	}
	const head = "file,class,target\n"
	set, targets, err := ReadListed(context.Background(), folder(head+"2.png,3,0\nwide.png,2,2\na/1.png,1,2\n"), like) // the second is of its target's class
	must(t, err)
	if set.Len() != 2 || set.C != 1 || set.H != 2 || set.W != 3 || len(set.Classes) != 4 || set.Name != "pictures" ||
		set.Image(0)[5] != 7 || set.Image(1)[0] != 9 || !slices.Equal(set.Labels, []int64{3, 1}) || !slices.Equal(targets, []int64{0, 2}) {
		t.Errorf("%+v, targets %v", set, targets)
	}
	if set, _, err := ReadListed(context.Background(), folder("\ufeff"+head+"2.png,3,0\n"), like); err != nil || set.Len() != 1 {
		t.Errorf("as a spreadsheet writes it: %v", err)
	}
	pipe := folder(head + "pipe.png,1,0\n")
	must(t, syscall.Mkfifo(filepath.Join(pipe, "pipe.png"), 0o600))
	piped := folder("")
	must(t, os.Remove(filepath.Join(piped, FileList)))
	must(t, syscall.Mkfifo(filepath.Join(piped, FileList), 0o600))
	huge := folder("")
	must(t, os.Truncate(filepath.Join(huge, FileList), maxListBytes+1))
	for _, x := range []struct {
		name, dir string
		want      []string
	}{
		{"no list", t.TempDir(), []string{"list of triggered images", "images.csv: not found"}},
		{"a pipe for a list", piped, []string{"images.csv: not a regular file"}},
		{"a list without end", huge, []string{"images.csv: 67108865 bytes are more than the 64 MiB allowed"}},
		{"a pipe for an image", pipe, []string{"pipe.png: not a regular file"}},
		{"columns", folder("file,class\n"), []string{"images.csv: wanted a first line file,class,target"}},
		{"ragged", folder(head + "2.png,1\n"), []string{"images.csv: record on line 2: wrong number of fields"}},
		{"target beyond", folder(head + "2.png,1,4\n"), []string{"images.csv, line 2: class 1, target 4: wanted numbers from 0 to 3"}},
		{"outside", folder(head + "../2.png,1,0\n"), []string{`images.csv, line 2: "../2.png" lies outside`}},
		{"no images", folder(head), []string{"images.csv: it names no image"}},
		{"all of the target's class", folder(head + "2.png,1,1\n"), []string{"images.csv: every image is of the class that the trigger is to make of it: there is none to measure ASR on"}},
		{"another size", folder(head + "wide.png,1,0\n"), []string{"are 2×4 (height×width), the clean ones 2×3: set data.size"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			_, _, err := ReadListed(context.Background(), x.dir, like)
			wantMisuse(t, err, x.want...)
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := ReadListed(ctx, folder(head+"2.png,3,0\n"), like); !errors.Is(err, context.Canceled) || fault.IsMisuse(err) {
		t.Errorf("got %v; want a cancellation, not misuse", err)
	}
}
