package dataset

import (
	"image"
	"image/color"
	"image/draw"
)

// Planes is a picture as c×h×w bytes, red, green, blue or for c 1 grey, resized
// where its size is another.
func Planes(img image.Image, c, h, w int) []uint8 {
	var scratch *image.RGBA
	rgb := toRGB(img, &scratch)
	if rgb.Rect.Size() != image.Pt(w, h) {
		var s scaler
		rgb = s.scale(rgb, w, h)
	}
	out := make([]uint8, c*h*w)
	toPlanes(out, rgb, c)
	return out
}

// toRGB is img as opaque RGBA with its origin at 0, the alpha dropped rather
// than blended. It may reuse img's memory or *scratch.
func toRGB(img image.Image, scratch **image.RGBA) *image.RGBA {
	size := img.Bounds().Size()
	switch m := img.(type) {
	case *image.RGBA:
		if m.Opaque() && m.Rect.Min == (image.Point{}) {
			return m
		}
	case *image.NRGBA:
		if m.Rect.Min == (image.Point{}) {
			for i := 3; i < len(m.Pix); i += 4 {
				m.Pix[i] = 0xff
			}
			return &image.RGBA{Pix: m.Pix, Stride: m.Stride, Rect: m.Rect}
		}
	}
	dst := reuse(scratch, size)
	switch m := img.(type) {
	case *image.YCbCr, *image.Gray, *image.CMYK:
		draw.Draw(dst, dst.Rect, m, img.Bounds().Min, draw.Src)
	default:
		eachPixel(dst, img)
	}
	return dst
}

// eachPixel copies any image to dst without its alpha. It is slow.
func eachPixel(dst *image.RGBA, img image.Image) {
	origin, size := img.Bounds().Min, img.Bounds().Size()
	for y := range size.Y {
		for x := range size.X {
			var r, g, b uint8
			switch c := img.At(origin.X+x, origin.Y+y).(type) {
			case color.NRGBA64: // its conversion would lose what lies under alpha 0
				r, g, b = uint8(c.R>>8), uint8(c.G>>8), uint8(c.B>>8)
			default:
				n := color.NRGBAModel.Convert(c).(color.NRGBA)
				r, g, b = n.R, n.G, n.B
			}
			dst.SetRGBA(x, y, color.RGBA{r, g, b, 0xff})
		}
	}
}

// toPlanes writes img, opaque, as c planes: red, green, blue, or one of grey
// by ITU-R 601 luma, in the rounding PIL's mode "L" has.
func toPlanes(out []uint8, img *image.RGBA, c int) {
	size := img.Rect.Size()
	plane := size.X * size.Y
	for y := range size.Y {
		row := img.Pix[y*img.Stride : y*img.Stride+4*size.X]
		at := y * size.X
		if c == 1 {
			for x := range size.X {
				r, g, b := uint32(row[4*x]), uint32(row[4*x+1]), uint32(row[4*x+2])
				out[at+x] = uint8((19595*r + 38470*g + 7471*b + 1<<15) >> 16)
			}
			continue
		}
		for x := range size.X {
			out[at+x] = row[4*x]
			out[plane+at+x] = row[4*x+1]
			out[2*plane+at+x] = row[4*x+2]
		}
	}
}

// reuse is *scratch if it has the size, else a new image that it becomes.
func reuse(scratch **image.RGBA, size image.Point) *image.RGBA {
	if *scratch == nil || (*scratch).Rect.Size() != size {
		*scratch = image.NewRGBA(image.Rectangle{Max: size})
	}
	return *scratch
}
