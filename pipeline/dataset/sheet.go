package dataset

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"strconv"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// How a contact sheet is drawn, in pixels.
const (
	sheetImages = 8  // of each class
	sheetSide   = 64 // about the height of an image
	sheetGap    = 4
	sheetMargin = 12
	sheetLine   = 16 // of text
)

// ContactSheet is a PNG with some images of each class, spread over the set, under
// the class's number and name.
func (s *Set) ContactSheet() ([]byte, error) {
	shown := s.enlarge()
	w, h := shown.X+sheetGap, shown.Y+sheetGap
	block := image.Pt(sheetImages*w+sheetMargin, h+sheetLine+sheetMargin)
	// About as wide as high.
	columns := max(1, int(math.Round(math.Sqrt(float64(len(s.Classes)*block.Y)/float64(block.X)))))
	rows := (len(s.Classes) + columns - 1) / columns
	sheet := image.NewRGBA(image.Rect(0, 0, columns*block.X+sheetMargin, rows*block.Y+sheetMargin))
	draw.Draw(sheet, sheet.Rect, image.White, image.Point{}, draw.Src)
	for class, indices := range s.sampled() {
		at := image.Pt(class/rows*block.X+sheetMargin, class%rows*block.Y+sheetMargin)
		text := strconv.Itoa(class)
		if title := s.Title(class); title != text {
			text += "  " + title
		}
		label(sheet, at, text, block.X-sheetMargin-sheetGap)
		for k, i := range indices {
			corner := at.Add(image.Pt(k*w, sheetLine))
			s.paste(sheet, image.Rectangle{corner, corner.Add(shown)}, i)
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, sheet); err != nil {
		return nil, fmt.Errorf("draw the contact sheet: %w", err)
	}
	return out.Bytes(), nil
}

// enlarge is the size at which images are shown: small ones by a whole factor,
// large ones made smaller.
func (s *Set) enlarge() image.Point {
	if s.H <= sheetSide {
		by := max(1, (sheetSide+s.H/2)/s.H)
		return image.Pt(min(by*s.W, 4*sheetSide), by*s.H)
	}
	return image.Pt(max(1, min(s.W*sheetSide/s.H, 4*sheetSide)), sheetSide)
}

// sampled is which images of each class are shown.
func (s *Set) sampled() [][]int {
	byClass := make([][]int, len(s.Classes))
	for i, label := range s.Labels {
		byClass[label] = append(byClass[label], i)
	}
	for class, all := range byClass {
		n := min(sheetImages, len(all))
		some := make([]int, n)
		for k := range some {
			some[k] = all[k*len(all)/n]
		}
		byClass[class] = some
	}
	return byClass
}

func (s *Set) paste(sheet *image.RGBA, to image.Rectangle, i int) {
	var scratch *image.RGBA
	picture, size := toRGB(s.Picture(i), &scratch), to.Size()
	if size.Y < s.H || size.X < s.W {
		var scale scaler
		picture = scale.scale(picture, size.X, size.Y)
	}
	from := picture.Rect.Size()
	for y := range size.Y {
		for x := range size.X {
			sheet.SetRGBA(to.Min.X+x, to.Min.Y+y, picture.RGBAAt(x*from.X/size.X, y*from.Y/size.Y))
		}
	}
}

// label writes text, cut to width; the font has ASCII alone.
func label(sheet *image.RGBA, at image.Point, text string, width int) {
	face := basicfont.Face7x13
	runes := []rune(text)
	if most := width / face.Advance; len(runes) > most {
		runes = append(runes[:max(0, most-3)], []rune("...")...)
	}
	d := font.Drawer{Dst: sheet, Src: image.NewUniform(color.RGBA{40, 40, 40, 255}), Face: face, Dot: fixed.P(at.X, at.Y+face.Ascent)}
	d.DrawString(string(runes))
}
