package dataset

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"ulrl/pipeline/fault"
)

func TestAWrittenFolderReadsAsTheSameSet(t *testing.T) {
	for _, channels := range []int{1, 3} {
		set := &Set{C: channels, H: 3, W: 2, Classes: []string{"0", "2", "10"}, Labels: []int64{0, 0, 1, 2}}
		for i := range 4 * channels * 6 {
			set.Images = append(set.Images, uint8(i*37))
		}
		dir := filepath.Join(t.TempDir(), "a", "b")
		if err := WriteFolder(context.Background(), set, dir); err != nil {
			t.Fatal(err)
		}
		got, err := Read(context.Background(), Source{Kind: KindFolder, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if got.C != channels || !reflect.DeepEqual(got.Images, set.Images) || !reflect.DeepEqual(got.Labels, set.Labels) || !reflect.DeepEqual(got.Classes, set.Classes) {
			t.Errorf("%d channels: got %+v", channels, got)
		}
		if err := WriteFolder(context.Background(), set, dir); !fault.IsMisuse(err) {
			t.Errorf("over a folder that is full: %v", err)
		}
	}
}

func TestAnInterruptedFolderIsNotThere(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := t.TempDir()
	set := &Set{C: 1, H: 1, W: 1, Classes: []string{"a"}, Labels: []int64{0}, Images: []uint8{1}}
	if err := WriteFolder(ctx, set, filepath.Join(dir, "out")); err == nil {
		t.Error("no error")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left %v, %v", entries, err)
	}
}
