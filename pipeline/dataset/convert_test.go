package dataset

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"slices"
	"testing"
)

// Every form Go's decoders give must come out with its alpha dropped.
func TestToRGB(t *testing.T) {
	rect := image.Rect(0, 0, 2, 1)
	nrgba := &image.NRGBA{Pix: []uint8{10, 20, 30, 0, 40, 50, 60, 128}, Stride: 8, Rect: rect}
	nrgba64 := image.NewNRGBA64(rect)
	nrgba64.SetNRGBA64(0, 0, color.NRGBA64{R: 10 << 8, G: 20 << 8, B: 30 << 8})
	nrgba64.SetNRGBA64(1, 0, color.NRGBA64{R: 40 << 8, G: 50 << 8, B: 60 << 8, A: 1 << 15})
	paletted := image.NewPaletted(rect, color.Palette{color.NRGBA{10, 20, 30, 0}, color.RGBA{40, 50, 60, 255}})
	paletted.Pix[1] = 1
	rgba64 := image.NewRGBA64(rect)
	rgba64.SetRGBA64(0, 0, color.RGBA64{R: 10<<8 + 200, G: 20 << 8, B: 30 << 8, A: 0xffff})
	rgba64.SetRGBA64(1, 0, color.RGBA64{R: 40 << 8, G: 50 << 8, B: 60 << 8, A: 0xffff})
	rgba := &image.RGBA{Pix: []uint8{10, 20, 30, 255, 40, 50, 60, 255}, Stride: 8, Rect: rect}
	moved := image.NewNRGBA(image.Rect(5, 5, 9, 9))
	moved.SetNRGBA(6, 7, color.NRGBA{10, 20, 30, 9})
	moved.SetNRGBA(7, 7, color.NRGBA{40, 50, 60, 255})
	grey16 := image.NewGray16(rect)
	grey16.SetGray16(0, 0, color.Gray16{Y: 10<<8 + 255})
	grey16.SetGray16(1, 0, color.Gray16{Y: 40 << 8})
	cmyk := image.NewCMYK(rect)
	copy(cmyk.Pix, []uint8{245, 235, 225, 0, 215, 205, 195, 0})
	colours, greys := []uint8{10, 40, 20, 50, 30, 60}, []uint8{10, 40, 10, 40, 10, 40}
	tests := []struct {
		name string
		img  image.Image
		want []uint8
	}{
		{"RGBA", rgba, colours},
		{"NRGBA", nrgba, colours},
		{"NRGBA64", nrgba64, colours},
		{"RGBA64", rgba64, colours},
		{"Paletted", paletted, colours},
		{"away from the origin", moved.SubImage(image.Rect(6, 7, 8, 8)), colours},
		{"CMYK", cmyk, colours},
		{"Gray", &image.Gray{Pix: []uint8{10, 40}, Stride: 2, Rect: rect}, greys},
		{"Gray16", grey16, greys},
		{"YCbCr", &image.YCbCr{Y: []uint8{10, 40}, Cb: []uint8{128, 128}, Cr: []uint8{128, 128}, YStride: 2, CStride: 2, Rect: rect}, greys},
	}
	var scratch *image.RGBA
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := make([]uint8, 6)
			toPlanes(got, toRGB(tt.img, &scratch), 3)
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A JPEG read here is what Go's own conversion of it gives.
func TestToRGBOfJPEG(t *testing.T) {
	src := image.NewNRGBA(image.Rect(0, 0, 19, 13))
	for i := range src.Pix {
		src.Pix[i] = uint8(i * 3)
	}
	for i := 3; i < len(src.Pix); i += 4 {
		src.Pix[i] = 0xff
	}
	img, err := jpeg.Decode(bytes.NewReader(jpegBytes(t, src)))
	if err != nil {
		t.Fatal(err)
	}
	var scratch *image.RGBA
	got := toRGB(img, &scratch)
	for y := range 13 {
		for x := range 19 {
			if want := color.RGBAModel.Convert(img.At(x, y)); got.At(x, y) != want {
				t.Fatalf("pixel %d,%d is %v, want %v", x, y, got.At(x, y), want)
			}
		}
	}
}

func TestLuma(t *testing.T) {
	for _, tt := range []struct{ r, g, b, want uint8 }{
		{255, 0, 0, 76}, {0, 255, 0, 150}, {0, 0, 255, 29}, {255, 255, 255, 255}, {1, 2, 3, 2}, {77, 77, 77, 77},
	} {
		var out [1]uint8
		var scratch *image.RGBA
		toPlanes(out[:], toRGB(plain(1, 1, tt.r, tt.g, tt.b), &scratch), 1)
		if out[0] != tt.want {
			t.Errorf("luma of %d,%d,%d is %d, want %d", tt.r, tt.g, tt.b, out[0], tt.want)
		}
	}
}

func TestScale(t *testing.T) {
	// Stripes of one pixel would alias; a filter that is wide enough gives their mean.
	stripes := image.NewRGBA(image.Rect(0, 0, 96, 96))
	for i := range stripes.Pix {
		if i/4%2 == 0 || i%4 == 3 {
			stripes.Pix[i] = 0xff
		}
	}
	var s scaler
	got := s.scale(stripes, 13, 11)
	if got.Rect.Size() != image.Pt(13, 11) {
		t.Fatalf("size %v", got.Rect.Size())
	}
	for x := range 13 {
		if v := got.RGBAAt(x, 5); math.Abs(float64(v.R)-127.5) > 8 {
			t.Errorf("column %d of grey stripes is %d", x, v.R)
		}
	}
	// One colour stays what it is, in either direction and when the sizes change.
	for _, size := range []image.Point{{3, 5}, {64, 64}, {300, 1}, {1, 300}} {
		for v := range 256 {
			var scratch *image.RGBA
			out := s.scale(toRGB(plain(size.X, size.Y, uint8(v), 7, 255), &scratch), 4, 6)
			if got := out.RGBAAt(v%4, v%6); got != (color.RGBA{uint8(v), 7, 255, 255}) {
				t.Fatalf("%v of %d became %v", size, v, got)
			}
		}
	}
}
