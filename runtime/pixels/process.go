package pixels

import (
	"fmt"

	"llmc/engine"
)

// Image is what a model reads of an image: [channels, height, width], channels red, green and blue.
type Image struct {
	Width, Height int
	Values        []float32
}

// Read decodes an image file and does to it what the settings say. They have passed their Check.
func Read(data []byte, s *engine.ImageSettings) (*Image, error) {
	m, err := Decode(data)
	if err != nil {
		return nil, err
	}
	return m.Process(s)
}

// Process resizes, crops, rescales and normalises.
func (m *RGB) Process(s *engine.ImageSettings) (*Image, error) {
	width, height := s.ResizeWidth, s.ResizeHeight
	if s.ShortestEdge > 0 {
		width, height = shortestEdge(m.Width, m.Height, s.ShortestEdge)
	}
	if width > 0 {
		var err error
		if m, err = m.Resize(width, height, s.Filter); err != nil {
			return nil, err
		}
	}
	if s.CropWidth > 0 {
		m = m.crop(s.CropWidth, s.CropHeight)
	}
	if m.Width != s.Width || m.Height != s.Height {
		return nil, fmt.Errorf("%w: %d by %d pixels, the model reads %d by %d and its checkpoint says nothing of resizing; resize it",
			ErrSize, m.Width, m.Height, s.Width, s.Height)
	}
	return m.normalise(s), nil
}

// shortestEdge returns the size whose shorter side is edge, of the same shape; what is no whole pixel is cut off.
func shortestEdge(width, height, edge int) (w, h int) {
	if width <= height {
		return edge, edge * height / width
	}
	return edge * width / height, edge
}

// crop takes the middle; beyond the image is black.
func (m *RGB) crop(width, height int) *RGB {
	out := newRGB(width, height)
	left, top := (m.Width-width)>>1, (m.Height-height)>>1 // rounded down, below zero too
	from, to := max(left, 0), min(left+width, m.Width)
	for y := range height {
		if at := top + y; at >= 0 && at < m.Height && from < to {
			copy(out.row(y)[3*(from-left):], m.row(at)[3*from:3*to])
		}
	}
	return out
}

// normalise makes numbers of pixels. Of a channel there are 256 different ones; they are found once, in the precisions of transformers.
func (m *RGB) normalise(s *engine.ImageSettings) *Image {
	area := m.Width * m.Height
	out := &Image{m.Width, m.Height, make([]float32, engine.ImageChannels*area)}
	for c := range engine.ImageChannels {
		var table [256]float32
		for v := range table {
			x := float64(v)
			if s.Rescale != 0 {
				x *= s.Rescale
			}
			table[v] = float32(x)
			if len(s.Mean) > 0 {
				table[v] = (table[v] - float32(s.Mean[c])) / float32(s.Std[c])
			}
		}
		plane := out.Values[c*area:][:area]
		for i := range plane {
			plane[i] = table[m.Pix[3*i+c]]
		}
	}
	return out
}

// Patches cuts the image into the rows that the function "image" reads, from the top, from the left; a row holds the patch of the first channel,
// then those of the others. Where the model has a row of its own it comes first, and is zero.
func (m *Image) Patches(s *engine.ImageSettings) []float32 {
	rows := make([]float32, s.Rows()*s.Columns())
	to := rows
	if s.Class {
		to = to[s.Columns():]
	}
	for top := 0; top < m.Height; top += s.Patch {
		for left := 0; left < m.Width; left += s.Patch {
			for c := range engine.ImageChannels {
				for y := range s.Patch {
					at := (c*m.Height+top+y)*m.Width + left
					copy(to, m.Values[at:at+s.Patch])
					to = to[s.Patch:]
				}
			}
		}
	}
	return rows
}
