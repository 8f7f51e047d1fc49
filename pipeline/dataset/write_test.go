package dataset

import (
	"context"
	"reflect"
	"testing"
)

func TestAWrittenFolderReadsAsTheSameSet(t *testing.T) {
	for _, channels := range []int{1, 3} {
		set := &Set{C: channels, H: 3, W: 2, Classes: []string{"0", "2", "10"}, Labels: []int64{0, 0, 1, 2}}
		for i := range 4 * channels * 6 {
			set.Images = append(set.Images, uint8(i*37))
		}
		dir := t.TempDir()
		if err := FillFolder(context.Background(), set, dir); err != nil {
			t.Fatal(err)
		}
		got, err := Read(context.Background(), Source{Kind: KindFolder, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if got.C != channels || !reflect.DeepEqual(got.Images, set.Images) || !reflect.DeepEqual(got.Labels, set.Labels) || !reflect.DeepEqual(got.Classes, set.Classes) {
			t.Errorf("%d channels: got %+v", channels, got)
		}
	}
}
