package testenv

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// SmallImages writes a data set of three classes of grey 12×12 images, told
// apart by which third is bright: 60 of each in dir/train, 20 in dir/test.
func SmallImages(t *testing.T, dir string) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	// In this order: the images come from one generator.
	for _, split := range []struct {
		name string
		n    int
	}{{"train", 60}, {"test", 20}} {
		for class := range 3 {
			folder := filepath.Join(dir, split.name, fmt.Sprint(class))
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			for i := range split.n {
				SmallImage(t, filepath.Join(folder, fmt.Sprintf("%03d.png", i)), class, rng)
			}
		}
	}
}

// SmallImage writes one of them.
func SmallImage(t *testing.T, path string, class int, rng *rand.Rand) {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 12, 12))
	for y := range 12 {
		for x := range 12 {
			v := 40 + rng.IntN(60)
			if x/4 == class {
				v += 100
			}
			img.SetGray(x, y, color.Gray{Y: uint8(v)})
		}
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if err := png.Encode(file, img); err != nil {
		t.Fatal(err)
	}
}
