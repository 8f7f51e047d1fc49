package dataset

import (
	"context"
	"slices"
	"strings"
	"testing"

	"ulrl/pipeline/fault"
)

// wantMisuse checks for a one-line misuse that holds every one of parts.
func wantMisuse(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", parts)
	}
	if !fault.IsMisuse(err) {
		t.Errorf("not misuse: %v", err)
	}
	if strings.ContainsAny(err.Error(), "\n\r") {
		t.Errorf("more than one line: %q", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

// numbered is n images of 1×1×2, image i being {i, i+100}, labelled i mod classes.
func numbered(n, classes int) *Set {
	s := &Set{Name: "numbered", C: 1, H: 1, W: 2}
	for i := range n {
		s.Images = append(s.Images, uint8(i), uint8(i+100))
		s.Labels = append(s.Labels, int64(i%classes))
	}
	for i := range classes {
		s.Classes = append(s.Classes, string(rune('a'+i)))
	}
	return s
}

func TestSet(t *testing.T) {
	s := numbered(7, 3)
	if s.Len() != 7 {
		t.Errorf("Len = %d, want 7", s.Len())
	}
	if got := s.Image(4); !slices.Equal(got, []uint8{4, 104}) || cap(got) != 2 {
		t.Errorf("Image(4) = %v with capacity %d", got, cap(got))
	}
	if got := s.CountByClass(); !slices.Equal(got, []int{3, 2, 2}) {
		t.Errorf("CountByClass = %v", got)
	}
	s.Labels[0], s.Labels[1] = -1, 9
	if got := s.CountByClass(); !slices.Equal(got, []int{2, 1, 2}) {
		t.Errorf("CountByClass with foreign labels = %v", got)
	}
}

func TestSubset(t *testing.T) {
	s := numbered(7, 3)
	sub := s.Subset([]int{5, 1, 1})
	if !slices.Equal(sub.Images, []uint8{5, 105, 1, 101, 1, 101}) || !slices.Equal(sub.Labels, []int64{2, 1, 1}) {
		t.Errorf("Subset has images %v, labels %v", sub.Images, sub.Labels)
	}
	if sub.Name != s.Name || sub.C != 1 || sub.H != 1 || sub.W != 2 || !slices.Equal(sub.Classes, s.Classes) {
		t.Errorf("Subset lost its description: %+v", sub)
	}
	sub.Images[0], sub.Labels[0], sub.Classes[0] = 77, 0, "changed"
	if s.Images[10] != 5 || s.Labels[5] != 2 || s.Classes[0] != "a" {
		t.Error("Subset shares memory with its set")
	}
	if empty := s.Subset(nil); empty.Len() != 0 {
		t.Errorf("Subset(nil) has %d images", empty.Len())
	}
}

func TestReadSourceErrors(t *testing.T) {
	tests := []struct {
		name string
		src  Source
		want []string
	}{
		{"no kind", Source{}, []string{`kind ""`, "one of idx, folder"}},
		{"unknown kind", Source{Kind: "csv"}, []string{`"csv"`}},
		{"negative", Source{Kind: KindIDX, Workers: -1}, []string{"negative", "-1"}},
		{"idx without files", Source{Kind: KindIDX, Images: "x"}, []string{"labels"}},
		{"folder without folder", Source{Kind: KindFolder}, []string{"wants a folder"}},
		{"two channels", Source{Kind: KindFolder, Dir: "d", Channels: 2}, []string{"2 channels", "1 (grey) or 3"}},
		{"height alone", Source{Kind: KindFolder, Dir: "d", Height: 32}, []string{"32×0", "or neither"}},
		{"absurd size", Source{Kind: KindFolder, Dir: "d", Height: 1 << 40, Width: 1 << 40}, []string{"pixels"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(context.Background(), tt.src)
			wantMisuse(t, err, tt.want...)
		})
	}
}
