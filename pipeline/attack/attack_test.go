package attack

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

func set(c, h, w int, labels ...int64) *dataset.Set {
	s := &dataset.Set{Name: "made", C: c, H: h, W: w, Labels: labels, Classes: []string{"a", "b", "c"}}
	s.Images = make([]uint8, len(labels)*c*h*w)
	return s
}

// plain leaves pixels scaled to 0..1 as they are, odd does not.
func plain(channels int) dataset.Normalisation {
	return dataset.Normalisation{Mean: make([]float64, channels), Std: slices.Repeat([]float64{1}, channels)}
}

func odd(channels int) dataset.Normalisation {
	return dataset.Normalisation{Mean: slices.Repeat([]float64{0.4914}, channels), Std: slices.Repeat([]float64{0.247}, channels)}
}

// triggered is a copy of s with the trigger on all images, the same under any
// normalisation.
func triggered(t *testing.T, c config.Attack, s *dataset.Set) []uint8 {
	t.Helper()
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	var results [][]uint8
	for _, n := range []dataset.Normalisation{plain(s.C), odd(s.C)} {
		var trigger *torch.Module
		testenv.Do(t, dev, func(scope *torch.Scope) error {
			made, err := NewTrigger(scope, c, FormOf(s, n, 7))
			if err != nil {
				return err
			}
			trigger, err = made.CopyTo(keep)
			return err
		})
		all := make([]int, s.Len())
		for i := range all {
			all[i] = i
		}
		copied := s.Subset(all)
		if err := Apply(context.Background(), dev, trigger, copied, nil, n); err != nil {
			t.Fatal(err)
		}
		results = append(results, copied.Images)
	}
	if !reflect.DeepEqual(results[0], results[1]) {
		t.Errorf("the trigger depends on the normalisation: %v and %v", results[0], results[1])
	}
	return results[0]
}

func filled(s *dataset.Set, pixels ...uint8) *dataset.Set {
	for i := range s.Images {
		s.Images[i] = pixels[i%len(pixels)]
	}
	return s
}

func TestPatchLiesOnePixelOffTheLowerRightCorner(t *testing.T) {
	s := set(2, 5, 6, 0)
	c := config.Attack{Name: "badnets", Trigger: config.Trigger{Size: 2, Margin: 1, Value: 200}}
	plane := []uint8{
		0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0,
		0, 0, 0, 200, 200, 0,
		0, 0, 0, 200, 200, 0,
		0, 0, 0, 0, 0, 0,
	}
	if got := triggered(t, c, s); !reflect.DeepEqual(got, slices.Concat(plane, plane)) {
		t.Errorf("got %v", got)
	}
}

// 0.8·100 + 0.2·(50, 255) = 90, 131; 0.8·255 + 0.2·(50, 255) = 214, 255.
func TestBlendedByHand(t *testing.T) {
	picture := image.NewGray(image.Rect(0, 0, 2, 1))
	picture.Pix[0], picture.Pix[1] = 50, 255
	c := config.Attack{Name: "blended", Blended: config.Blended{Alpha: 0.2, Pattern: writePNG(t, picture)}}
	s := set(1, 1, 2, 0, 0)
	copy(s.Images, []uint8{100, 100, 255, 255})
	if got := triggered(t, c, s); !reflect.DeepEqual(got, []uint8{90, 131, 214, 255}) {
		t.Errorf("got %v", got)
	}
}

func TestBlendedNoiseFollowsTheSeed(t *testing.T) {
	c := config.Attack{Name: "blended", Blended: config.Blended{Alpha: 1}}
	got := triggered(t, c, set(1, 16, 16, 0))
	sum := 0
	for _, v := range got {
		sum += int(v)
	}
	if mean := sum / len(got); mean < 110 || mean > 145 {
		t.Errorf("the noise's mean is %d", mean)
	}
	if again := triggered(t, c, set(1, 16, 16, 0)); !reflect.DeepEqual(got, again) {
		t.Error("the same seed gave other noise")
	}
}

// 40·sin(2π·j·2/8) is 0, 40, 0, −40 and again; NumPy rounds 200 + those to
// 200, 240, 200, 160; 230 + 40 is cut at 255.
func TestSIGByHand(t *testing.T) {
	c := config.Attack{Name: "sig", SIG: config.SIG{Delta: 40, Frequency: 2}}
	for base, want := range map[uint8][]uint8{200: {200, 240, 200, 160}, 230: {230, 255, 230, 190}, 10: {10, 50, 10, 0}} {
		got := triggered(t, c, filled(set(3, 2, 8, 0), base))
		if !reflect.DeepEqual(got, slices.Repeat(want, 12)) {
			t.Errorf("on %d: got %v", base, got)
		}
	}
}

func writePNG(t *testing.T, img image.Image) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p.png")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, img); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPatchFromPictures(t *testing.T) {
	pattern, mask := image.NewRGBA(image.Rect(0, 0, 2, 1)), image.NewGray(image.Rect(0, 0, 2, 1))
	pattern.Set(0, 0, color.RGBA{9, 9, 9, 255})
	pattern.Set(1, 0, color.RGBA{10, 20, 30, 255})
	mask.SetGray(1, 0, color.Gray{1})
	c := config.Attack{Name: "badnets", Trigger: config.Trigger{Pattern: writePNG(t, pattern), Mask: writePNG(t, mask)}}
	got := triggered(t, c, filled(set(3, 1, 2, 0), 7))
	if want := []uint8{7, 10, 7, 20, 7, 30}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTriggerErrors(t *testing.T) {
	right := writePNG(t, image.NewGray(image.Rect(0, 0, 6, 5)))
	text := filepath.Join(t.TempDir(), "text.png")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, want string
		c          config.Attack
	}{
		{"unknown", `attack.name "x" has no trigger`, config.Attack{Name: "x"}},
		{"too large", "a patch of 5 pixels with margin 1 does not fit images of 5×6", config.Attack{Name: "badnets", Trigger: config.Trigger{Size: 5, Margin: 1}}},
		{"no wave", "change no pixel of images 6 wide", config.Attack{Name: "sig", SIG: config.SIG{Delta: 40, Frequency: 3}}},
		{"missing", "no such file", config.Attack{Name: "badnets", Trigger: config.Trigger{Pattern: "nowhere.png", Mask: right}}},
		{"no picture", "not a PNG", config.Attack{Name: "badnets", Trigger: config.Trigger{Pattern: text, Mask: right}}},
		{"no pattern", "no such file", config.Attack{Name: "lf", LF: config.LF{Pattern: "nowhere.npy"}}},
		{"no array", "not a NumPy file", config.Attack{Name: "lf", LF: config.LF{Pattern: text}}},
		{"wrong shape", "is of [6 5 1], the images want [5 6 1]", config.Attack{Name: "lf", LF: config.LF{Pattern: writeNPY(t, "<f4", false, []int{6, 5, 1}, make([]float32, 30))}}},
		{"short array", "it ends too early", config.Attack{Name: "lf", LF: config.LF{Pattern: writeNPY(t, "<f4", false, []int{5, 6}, make([]float32, 20))}}},
		{"complex", "are of type <c8", config.Attack{Name: "lf", LF: config.LF{Pattern: writeNPY(t, "<c8", false, []int{5, 6}, make([]float32, 60))}}},
		{"no numbers", "not all its numbers are finite", config.Attack{Name: "lf", LF: config.LF{Pattern: writeNPY(t, "<f4", false, []int{5, 6}, append(make([]float32, 29), float32(math.NaN())))}}},
		{"all 0", "is 0 everywhere: no pixel would change", config.Attack{Name: "lf", LF: config.LF{Pattern: writeNPY(t, "<f4", false, []int{5, 6}, make([]float32, 30))}}},
		{"no corners", "four corners of 3 pixels do not fit images of 5×6", config.Attack{Name: "lc", LC: config.LC{Amplitude: 1}}},
		{"not known beforehand", "is made along with its model", config.Attack{Name: "ssba"}},
		{"black mask", "is black everywhere", config.Attack{Name: "badnets", Trigger: config.Trigger{Pattern: right, Mask: right}}},
	}
	_, dev := testenv.CPU(t)
	for _, c := range cases {
		err := dev.Do(context.Background(), func(s *torch.Scope) error {
			_, err := NewTrigger(s, c.c, FormOf(set(1, 5, 6, 0), plain(1), 0))
			return err
		})
		if err == nil || !strings.Contains(err.Error(), c.want) || !fault.IsMisuse(err) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// writeNPY writes a NumPy file, version 1.0, by its published format.
func writeNPY[T any](t *testing.T, dtype string, fortran bool, shape []int, values []T) string {
	t.Helper()
	order, extents := "False", ""
	if fortran {
		order = "True"
	}
	for _, extent := range shape {
		extents += fmt.Sprintf("%d, ", extent)
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }", dtype, order, extents)
	header += strings.Repeat(" ", 117-len(header)) + "\n"
	var out bytes.Buffer
	out.WriteString("\x93NUMPY\x01\x00")
	for _, part := range []any{uint16(len(header)), []byte(header), values} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "p.npy")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Two rows, three columns, three channels: whatever the order and the type
// in the file, channel c of pixel (y, x) moves by 50c + 10y + x.
func TestLFPatternFromFile(t *testing.T) {
	var byRow []float64
	for y := range 2 {
		for x := range 3 {
			for c := range 3 {
				byRow = append(byRow, float64(50*c+10*y+x))
			}
		}
	}
	var byColumn []uint8
	for c := range 3 {
		for x := range 3 {
			for y := range 2 {
				byColumn = append(byColumn, uint8(50*c+10*y+x))
			}
		}
	}
	want := []uint8{5, 6, 7, 15, 16, 17, 55, 56, 57, 65, 66, 67, 105, 106, 107, 115, 116, 117}
	for _, path := range []string{
		writeNPY(t, "<f8", false, []int{2, 3, 3}, byRow),
		writeNPY(t, "|u1", true, []int{2, 3, 3}, byColumn),
	} {
		got := triggered(t, config.Attack{Name: "lf", LF: config.LF{Pattern: path}}, filled(set(3, 2, 3, 0), 5))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	grey := writeNPY(t, "<f4", false, []int{1, 2}, []float32{-10, 3})
	if got := triggered(t, config.Attack{Name: "lf", LF: config.LF{Pattern: grey}}, filled(set(1, 1, 2, 0), 8)); !reflect.DeepEqual(got, []uint8{0, 11}) {
		t.Errorf("grey: %v", got)
	}
}

// Pictures of twice the size: a quarter of the pattern's pixels each, and the
// mask where at least half of it is bright.
func TestPicturesOfAnotherSizeAreResized(t *testing.T) {
	pattern, mask := image.NewGray(image.Rect(0, 0, 4, 2)), image.NewGray(image.Rect(0, 0, 4, 2))
	for i := range pattern.Pix {
		pattern.Pix[i] = 80
		if i%4 >= 2 {
			mask.Pix[i] = 255
		}
	}
	c := config.Attack{Name: "badnets", Trigger: config.Trigger{Pattern: writePNG(t, pattern), Mask: writePNG(t, mask)}}
	var said []string
	_, dev := testenv.CPU(t)
	testenv.Do(t, dev, func(s *torch.Scope) error {
		f := FormOf(set(1, 1, 2, 0), plain(1), 0)
		f.Say = func(note string) { said = append(said, note) }
		m, err := NewTrigger(s, c, f)
		if err != nil {
			return err
		}
		got := torch.Values[float32](m.Forward(s.Full(0, torch.Float32, 1, 1, 1, 2)).MulScalar(255))
		near(t, "the patch", got, []float32{0, 80})
		return nil
	})
	if len(said) != 2 || !strings.Contains(said[0], "is 4×2 pixels, the images are 2×1: it is resized") {
		t.Errorf("said %q", said)
	}
}

// The denominator of ASR: images of the target class never count.
func TestVictimsLeaveTheTargetClassOut(t *testing.T) {
	s := set(1, 1, 1, 0, 1, 2, 1, 0)
	got, goals, err := Victims(s, config.Attack{LabelMode: "all2one", Target: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Labels, []int64{0, 2, 0}) || !reflect.DeepEqual(goals, []int64{1, 1, 1}) {
		t.Errorf("all2one: labels %v, goals %v", got.Labels, goals)
	}
	got, goals, _ = Victims(s, config.Attack{LabelMode: "all2all"})
	if got.Len() != 5 || !reflect.DeepEqual(goals, []int64{1, 2, 0, 2, 1}) {
		t.Errorf("all2all: %d images, goals %v", got.Len(), goals)
	}
	if _, _, err := Victims(set(1, 1, 1, 1, 1), config.Attack{LabelMode: "all2one", Target: 1}); err == nil {
		t.Error("a set of the target class alone")
	}
}

// What triggered images of a batch are taught is what Victims measures them by.
func TestGoals(t *testing.T) {
	_, dev := testenv.CPU(t)
	for mode, want := range map[string][]int64{"all2one": {1, 1, 1}, "all2all": {1, 2, 0}} {
		testenv.Do(t, dev, func(s *torch.Scope) error {
			got := torch.Values[int64](goals(s, config.Attack{LabelMode: mode, Target: 1}, 3, torch.From(s, []int64{0, 1, 2}, 3)))
			if err := s.Err(); err != nil {
				return err
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v", mode, got)
			}
			return nil
		})
	}
}

func TestPoison(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	labels := make([]int64, 300)
	for i := range labels {
		labels[i] = int64(i % 3)
	}
	s := set(1, 2, 2, labels...)
	base := config.Attack{Name: "badnets", LabelMode: "all2one", Target: 2, PoisonRate: 0.1, Trigger: config.Trigger{Size: 2, Value: 1}}
	cleanLabel := base
	cleanLabel.Name, cleanLabel.SIG = "sig", config.SIG{Delta: 200, Frequency: 0.5, CleanLabel: true}
	for _, c := range []config.Attack{base, cleanLabel} {
		var trigger *torch.Module
		testenv.Do(t, dev, func(scope *torch.Scope) error {
			made, err := NewTrigger(scope, c, FormOf(s, odd(1), 0))
			if err != nil {
				return err
			}
			trigger, err = made.CopyTo(keep)
			return err
		})
		poison := func(c config.Attack, seed uint64) (*dataset.Set, []int, error) {
			chosen, err := (&Lab{Config: c, Set: s, Draw: dataset.LoaderOptions{Seed: seed}}).choose()
			if err != nil {
				return nil, nil, err
			}
			poisoned, err := Poison(context.Background(), dev, trigger, s, chosen, c, odd(1))
			return poisoned, chosen, err
		}
		poisoned, chosen, err := poison(c, 5)
		if err != nil || len(chosen) != 30 {
			t.Fatalf("%s: %d chosen, %v", c.Name, len(chosen), err)
		}
		changed := 0
		for i := range poisoned.Labels {
			if slices.Max(poisoned.Image(i)) == 0 {
				if poisoned.Labels[i] != s.Labels[i] {
					t.Errorf("%s: clean image %d was relabelled", c.Name, i)
				}
				continue
			}
			changed++
			if (s.Labels[i] == 2) != c.SIG.CleanLabel || poisoned.Labels[i] != 2 {
				t.Errorf("%s: image %d of class %d got label %d", c.Name, i, s.Labels[i], poisoned.Labels[i])
			}
		}
		if changed != 30 || slices.Max(s.Images) != 0 {
			t.Errorf("%s: %d images changed, the clean set to %d", c.Name, changed, slices.Max(s.Images))
		}
		_, again, _ := poison(c, 5)
		_, other, _ := poison(c, 6)
		if !reflect.DeepEqual(chosen, again) || reflect.DeepEqual(chosen, other) {
			t.Errorf("%s: the draw does not follow the seed", c.Name)
		}
	}
	for rate, want := range map[float64]string{0.001: "is none", 0.9: "only 200 can be"} {
		c := base
		c.PoisonRate = rate
		if _, err := (&Lab{Config: c, Set: s}).choose(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("rate %v: %v", rate, err)
		}
	}
}

func TestPreview(t *testing.T) {
	clean, hit := filled(set(3, 4, 5, 0, 1), 100), filled(set(3, 4, 5, 0, 1), 110)
	data, err := Preview(clean, hit)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() != 2*(5*3+4)+4 || b.Dy() != 3*(4*3+4)+4 {
		t.Errorf("it is %v", b)
	}
	for row, want := range []uint32{100, 110, 228} { // 128 + 10·10
		if r, _, _, _ := img.At(6, 6+row*16).RGBA(); r>>8 != want {
			t.Errorf("row %d is %d, want %d", row, r>>8, want)
		}
	}
}
