package pipeline

import (
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/testenv"
)

func TestData(t *testing.T) {
	dir := t.TempDir()
	testenv.SmallImages(t, dir)
	c, err := config.Default(config.Options{Sets: []string{"data.kind=auto", "data.dir=" + dir, "data.classes=3"}})
	if err != nil {
		t.Fatal(err)
	}
	sheet := filepath.Join(dir, "sheet.png")
	in, err := Data(t.Context(), c, DataOptions{Sheet: sheet})
	if err != nil {
		t.Fatal(err)
	}
	if in.Train != 180 || in.Test != 60 || in.Channels != 1 || in.Height != 12 || !slices.Equal(in.Classes, []ClassInfo{{"0", "", 60, 20}, {"1", "", 60, 20}, {"2", "", 60, 20}}) {
		t.Errorf("%+v", in)
	}
	// Two thirds are 40 to 99, one third 140 to 199.
	if m := in.Mean[0]; m < 0.39 || m > 0.41 || in.Std[0] < 0.18 || in.Std[0] > 0.21 {
		t.Errorf("mean %v, std %v", in.Mean, in.Std)
	}
	if n := in.Normalisation; n == nil || n.Mean[0] != 0.2860 || n.From != "data.name fashion-mnist" {
		t.Errorf("%+v", n)
	}
	f, err := os.Open(sheet)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if img, err := png.DecodeConfig(f); err != nil || img.Width < 8*60 {
		t.Errorf("%+v, %v", img, err)
	}
	in, err = Data(t.Context(), c, DataOptions{ByContent: true})
	if err != nil || in.Normalisation != nil || in.Set != "train" {
		t.Errorf("%+v, %v", in, err)
	}
	_, err = Data(t.Context(), c, DataOptions{Sheet: filepath.Join(dir, "no", "s.png")})
	if !fault.IsMisuse(err) || !strings.Contains(err.Error(), "cannot write") {
		t.Error(err)
	}
	c.Data.Name = "cifar10"
	if _, err = Data(t.Context(), c, DataOptions{}); !fault.IsMisuse(err) {
		t.Errorf("a normalisation of three channels for grey images: %v", err)
	}
}
