package dataset

import "image"

// scaler resizes with a triangle filter that widens when it shrinks an image,
// so that it does not alias: what training pipelines resize with. Its rounding is
// that of PIL's bilinear filter, to the bit; golang.org/x/image's is off by one at
// a sixth of the values.
type scaler struct {
	from, to image.Point
	x, y     []taps
	wide     []uint8 // rows of the source at the width wanted, as RGBA
	sums     []int32
	out      *image.RGBA
}

// taps are the weights of the source pixels, from the first on, that make one
// pixel. They sum to 1<<weightBits, but for rounding.
type taps struct {
	first   int
	weights []int32
}

// weightBits leaves room for a sum of bytes in 32 bits.
const weightBits = 22

// triangle is the taps of each of to pixels.
func triangle(from, to int) []taps {
	step := float64(from) / float64(to)
	reach := max(step, 1)
	out := make([]taps, to)
	for i := range out {
		centre := (float64(i) + 0.5) * step
		first, end := max(int(centre-reach+0.5), 0), min(int(centre+reach+0.5), from)
		shares, sum := make([]float64, end-first), 0.0
		for k := range shares {
			far := (float64(first+k) - centre + 0.5) / reach
			shares[k] = max(1-max(far, -far), 0)
			sum += shares[k]
		}
		out[i] = taps{first, make([]int32, len(shares))}
		for k, share := range shares {
			out[i].weights[k] = int32(share/sum*(1<<weightBits) + 0.5)
		}
	}
	return out
}

// scale is img, opaque, as w×h pixels. The result is valid until the next call.
func (s *scaler) scale(img *image.RGBA, w, h int) *image.RGBA {
	from, to := img.Rect.Size(), image.Pt(w, h)
	if s.from != from || s.to != to {
		s.from, s.to = from, to
		s.x, s.y = triangle(from.X, w), triangle(from.Y, h)
		s.wide, s.sums = make([]uint8, 4*w*from.Y), make([]int32, 4*w)
	}
	for y := range from.Y {
		s.widen(s.wide[4*w*y:4*w*(y+1)], img.Pix[y*img.Stride:])
	}
	dst := reuse(&s.out, to)
	for y, t := range s.y {
		for i := range s.sums {
			s.sums[i] = 1 << (weightBits - 1)
		}
		for k, weight := range t.weights {
			row := s.wide[4*w*(t.first+k):][:len(s.sums)]
			for i, v := range row {
				s.sums[i] += int32(v) * weight
			}
		}
		out := dst.Pix[y*dst.Stride:][:len(s.sums)]
		for i, sum := range s.sums {
			out[i] = toByte(sum)
		}
		for i := 3; i < len(out); i += 4 {
			out[i] = 0xff
		}
	}
	return dst
}

// widen resizes one row, its alpha left out.
func (s *scaler) widen(out, row []uint8) {
	for x, t := range s.x {
		const half = 1 << (weightBits - 1)
		r, g, b := int32(half), int32(half), int32(half)
		in := row[4*t.first:][:4*len(t.weights)]
		for k, weight := range t.weights {
			r += int32(in[4*k]) * weight
			g += int32(in[4*k+1]) * weight
			b += int32(in[4*k+2]) * weight
		}
		out[4*x], out[4*x+1], out[4*x+2] = toByte(r), toByte(g), toByte(b)
	}
}

func toByte(sum int32) uint8 { return uint8(min(max(sum>>weightBits, 0), 0xff)) }
