package attack

import (
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
)

func set(c, h, w int, labels ...int64) *dataset.Set {
	s := &dataset.Set{Name: "made", C: c, H: h, W: w, Labels: labels, Classes: []string{"a", "b", "c"}}
	s.Images = make([]uint8, len(labels)*c*h*w)
	return s
}

func TestPatchLiesOnePixelOffTheLowerRightCorner(t *testing.T) {
	s := set(2, 5, 6, 0)
	trigger, err := NewTrigger(config.Attack{Name: "badnets", Trigger: config.Trigger{Size: 2, Margin: 1, Value: 200}}, s)
	if err != nil {
		t.Fatal(err)
	}
	trigger.Apply(s.Image(0))
	plane := []uint8{
		0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0,
		0, 0, 0, 200, 200, 0,
		0, 0, 0, 200, 200, 0,
		0, 0, 0, 0, 0, 0,
	}
	if want := append(append([]uint8{}, plane...), plane...); !reflect.DeepEqual(s.Image(0), want) {
		t.Errorf("got %v", s.Image(0))
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
	s := set(3, 1, 2, 0)
	for i := range s.Images {
		s.Images[i] = 7
	}
	trigger, err := NewTrigger(config.Attack{Name: "badnets", Trigger: config.Trigger{Pattern: writePNG(t, pattern), Mask: writePNG(t, mask)}}, s)
	if err != nil {
		t.Fatal(err)
	}
	trigger.Apply(s.Image(0))
	if want := []uint8{7, 10, 7, 20, 7, 30}; !reflect.DeepEqual(s.Image(0), want) {
		t.Errorf("got %v, want %v", s.Image(0), want)
	}
}

func TestTriggerErrors(t *testing.T) {
	small := writePNG(t, image.NewGray(image.Rect(0, 0, 2, 2)))
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
		{"missing", "no such file", config.Attack{Name: "badnets", Trigger: config.Trigger{Pattern: "nowhere.png", Mask: right}}},
		{"no picture", "not a PNG", config.Attack{Name: "badnets", Trigger: config.Trigger{Pattern: text, Mask: right}}},
		{"wrong size", "is 2×2 pixels, the images are 6×5", config.Attack{Name: "badnets", Trigger: config.Trigger{Pattern: small, Mask: right}}},
		{"black mask", "is black everywhere", config.Attack{Name: "badnets", Trigger: config.Trigger{Pattern: right, Mask: right}}},
	}
	for _, c := range cases {
		if _, err := NewTrigger(c.c, set(1, 5, 6, 0)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

type paint struct{}

func (paint) Apply(img []uint8) {
	for i := range img {
		img[i] = 1
	}
}

// The denominator of ASR: images of the target class never count.
func TestTriggeredLeavesTheTargetClassOut(t *testing.T) {
	s := set(1, 1, 1, 0, 1, 2, 1, 0)
	got, want, err := Triggered(s, config.Attack{LabelMode: "all2one", Target: 1}, paint{})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Labels, []int64{0, 2, 0}) || !reflect.DeepEqual(want, []int64{1, 1, 1}) || !reflect.DeepEqual(got.Images, []uint8{1, 1, 1}) {
		t.Errorf("all2one: labels %v, goals %v, images %v", got.Labels, want, got.Images)
	}
	if s.Images[0] != 0 {
		t.Error("the clean images were changed")
	}
	got, want, _ = Triggered(s, config.Attack{LabelMode: "all2all"}, paint{})
	if got.Len() != 5 || !reflect.DeepEqual(want, []int64{1, 2, 0, 2, 1}) {
		t.Errorf("all2all: %d images, goals %v", got.Len(), want)
	}
	if _, _, err := Triggered(set(1, 1, 1, 1, 1), config.Attack{LabelMode: "all2one", Target: 1}, paint{}); err == nil {
		t.Error("a set of the target class alone")
	}
}

func TestPoison(t *testing.T) {
	labels := make([]int64, 300)
	for i := range labels {
		labels[i] = int64(i % 3)
	}
	s := set(1, 1, 1, labels...)
	c := config.Attack{LabelMode: "all2one", Target: 2, PoisonRate: 0.1}
	poisoned, chosen, err := Poison(s, c, paint{}, 5)
	if err != nil || len(chosen) != 30 {
		t.Fatalf("%d chosen, %v", len(chosen), err)
	}
	changed := 0
	for i := range poisoned.Labels {
		if poisoned.Images[i] == 1 {
			changed++
			if s.Labels[i] == 2 || poisoned.Labels[i] != 2 {
				t.Errorf("image %d: %d became %d", i, s.Labels[i], poisoned.Labels[i])
			}
		} else if poisoned.Labels[i] != s.Labels[i] {
			t.Errorf("clean image %d was relabelled", i)
		}
	}
	if changed != 30 {
		t.Errorf("%d images changed", changed)
	}
	_, again, _ := Poison(s, c, paint{}, 5)
	_, other, _ := Poison(s, c, paint{}, 6)
	if !reflect.DeepEqual(chosen, again) || reflect.DeepEqual(chosen, other) {
		t.Error("the draw does not follow the seed")
	}
	for rate, want := range map[float64]string{0.001: "is none", 0.9: "only 200 are not of their target class"} {
		c.PoisonRate = rate
		if _, _, err := Poison(s, c, paint{}, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("rate %v: %v", rate, err)
		}
	}
}
