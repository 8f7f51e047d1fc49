package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
)

// pnmHeader is the header of a PPM (P6) or PGM (P5) image.
type pnmHeader struct {
	channels, width, height, most int
}

var errPNMHeader = errors.New("its header is not that of a raw PPM or PGM")

// readPNMHeader reads the header, comments and all, up to the first sample.
func readPNMHeader(r io.ByteReader) (pnmHeader, error) {
	var h pnmHeader
	magic, err := r.ReadByte()
	if err != nil || magic != 'P' {
		return h, errPNMHeader
	}
	switch kind, err := r.ReadByte(); {
	case err == nil && kind == '5':
		h.channels = 1
	case err == nil && kind == '6':
		h.channels = 3
	default:
		return h, errPNMHeader
	}
	for _, number := range []*int{&h.width, &h.height, &h.most} {
		if *number, err = readPNMNumber(r); err != nil {
			return h, err
		}
	}
	if h.most == 0 || h.most > 0xffff {
		return h, fmt.Errorf("its largest sample value is %d, wanted 1 to 65535", h.most)
	}
	return h, nil
}

// readPNMNumber reads a number and the one blank behind it. Blanks and comments
// come before it.
func readPNMNumber(r io.ByteReader) (int, error) {
	n, digits, comment := 0, 0, false
	for {
		b, err := r.ReadByte()
		if err != nil {
			return 0, errPNMHeader
		}
		switch {
		case comment:
			comment = b != '\n' && b != '\r'
		case b >= '0' && b <= '9' && n < 1<<31/10:
			n = 10*n + int(b-'0')
			digits++
		case b == ' ' || b >= '\t' && b <= '\r':
			if digits > 0 {
				return n, nil
			}
		case b == '#' && digits == 0:
			comment = true
		default:
			return 0, errPNMHeader
		}
	}
}

func decodePNMConfig(r io.Reader) (image.Config, error) {
	h, err := readPNMHeader(bufio.NewReader(r))
	model := color.RGBAModel
	if h.channels == 1 {
		model = color.GrayModel
	}
	return image.Config{ColorModel: model, Width: h.width, Height: h.height}, err
}

// decodePNM reads a PPM as RGBA and a PGM as grey. Samples of two bytes, or up to
// a largest value that is not 255, are scaled to 0..255.
func decodePNM(r io.Reader) (image.Image, error) {
	br := bufio.NewReader(r)
	h, err := readPNMHeader(br)
	if err != nil {
		return nil, err
	}
	size := 1
	if h.most > 0xff {
		size = 2
	}
	row := make([]byte, size*h.channels*h.width)
	rect := image.Rect(0, 0, h.width, h.height)
	grey, rgba := &image.Gray{}, &image.RGBA{}
	if h.channels == 1 {
		grey = image.NewGray(rect)
	} else {
		rgba = image.NewRGBA(rect)
	}
	for y := range h.height {
		if _, err := io.ReadFull(br, row); err != nil {
			return nil, err
		}
		if err := h.toBytes(row, size); err != nil {
			return nil, err
		}
		if h.channels == 1 {
			copy(grey.Pix[y*grey.Stride:], row[:h.width])
			continue
		}
		out := rgba.Pix[y*rgba.Stride : (y+1)*rgba.Stride]
		for x := range h.width {
			out[4*x], out[4*x+1], out[4*x+2], out[4*x+3] = row[3*x], row[3*x+1], row[3*x+2], 0xff
		}
	}
	if h.channels == 1 {
		return grey, nil
	}
	return rgba, nil
}

// toBytes scales a row's samples to bytes, in place.
func (h pnmHeader) toBytes(row []byte, size int) error {
	if h.most == 0xff {
		return nil
	}
	for i := range len(row) / size {
		v := int(row[i*size])
		if size == 2 {
			v = v<<8 | int(row[2*i+1])
		}
		if v > h.most {
			return fmt.Errorf("a sample of %d, though %d is its largest", v, h.most)
		}
		row[i] = uint8((v*0xff + h.most/2) / h.most)
	}
	return nil
}
