package pixels

import (
	"fmt"
	"image"
	"image/color"
)

// toRGB converts what the decoders make. Colours are taken as stored, not multiplied with alpha.
func toRGB(img image.Image, c *chroma) (*RGB, error) {
	b := img.Bounds()
	out := newRGB(b.Dx(), b.Dy())
	at := func(offset func(x, y int) int) func(y int) int {
		return func(y int) int { return offset(b.Min.X, b.Min.Y+y) }
	}
	switch img := img.(type) {
	case *image.YCbCr:
		c.convert(out, img)
	case *image.NYCbCrA:
		c.convert(out, &img.YCbCr)
	case *image.Gray:
		out.fill(img.Pix, 1, at(img.PixOffset), func(to, from []uint8) { to[0], to[1], to[2] = from[0], from[0], from[0] })
	case *image.Gray16: // which becomes 8 bits by clipping, not by scaling
		out.fill(img.Pix, 2, at(img.PixOffset), func(to, from []uint8) {
			v := from[1]
			if from[0] != 0 {
				v = 255
			}
			to[0], to[1], to[2] = v, v, v
		})
	case *image.RGBA: // from files without alpha
		out.fill(img.Pix, 4, at(img.PixOffset), copyFirst)
	case *image.NRGBA:
		out.fill(img.Pix, 4, at(img.PixOffset), copyFirst)
	case *image.RGBA64:
		out.fill(img.Pix, 8, at(img.PixOffset), copyHigh)
	case *image.NRGBA64:
		out.fill(img.Pix, 8, at(img.PixOffset), copyHigh)
	case *image.CMYK:
		out.fill(img.Pix, 4, at(img.PixOffset), fromCMYK)
	case *image.Paletted:
		colors := paletteRGB(img.Palette)
		out.fill(img.Pix, 1, at(img.PixOffset), func(to, from []uint8) { copy(to, colors[from[0]][:]) })
	default:
		return nil, fmt.Errorf("%w: colours of type %T", ErrFormat, img)
	}
	return out, nil
}

// fill converts pixel by pixel; size is the bytes of one in pix, at where a row begins there.
func (m *RGB) fill(pix []uint8, size int, at func(y int) int, convert func(to, from []uint8)) {
	for y := range m.Height {
		from, to := pix[at(y):], m.row(y)
		for len(to) > 0 {
			convert(to[:3:3], from[:size:size])
			from, to = from[size:], to[3:]
		}
	}
}

func copyFirst(to, from []uint8) { to[0], to[1], to[2] = from[0], from[1], from[2] }

func copyHigh(to, from []uint8) { to[0], to[1], to[2] = from[0], from[2], from[4] }

// fromCMYK takes from white what black leaves of each ink.
func fromCMYK(to, from []uint8) {
	left := 255 - uint32(from[3])
	for i := range to {
		v := uint32(from[i])*left + 128
		to[i] = uint8(left - (v+v>>8)>>8)
	}
}

// paletteRGB is the palette without alpha; indices beyond it are black.
func paletteRGB(p color.Palette) *[256][3]uint8 {
	var out [256][3]uint8
	for i, c := range p[:min(len(p), 256)] {
		switch c := c.(type) {
		case color.NRGBA:
			out[i] = [3]uint8{c.R, c.G, c.B}
		case color.RGBA:
			out[i] = [3]uint8{c.R, c.G, c.B}
		}
	}
	return &out
}
