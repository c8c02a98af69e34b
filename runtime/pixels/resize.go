package pixels

import (
	"fmt"
	"math"
)

// filter weighs the source pixels around the middle of a new one.
type filter struct {
	weight  func(x float64) float64 // of the distance, in source pixels or, where the image shrinks, in new ones
	support float64                 // distance beyond which weights are zero
}

// filters by the names that plans have for them. Nearest has no weights.
var filters = map[string]filter{
	"nearest":  {},
	"box":      {func(x float64) float64 { return boolWeight(x > -0.5 && x <= 0.5) }, 0.5},
	"bilinear": {func(x float64) float64 { return max(0, 1-math.Abs(x)) }, 1},
	"hamming":  {hamming, 1},
	"bicubic":  {bicubic, 2},
	"lanczos":  {lanczos, 3},
}

func boolWeight(in bool) float64 {
	if in {
		return 1
	}
	return 0
}

// hamming is a sinc in a Hamming window.
func hamming(x float64) float64 {
	x = math.Abs(x)
	switch {
	case x == 0:
		return 1
	case x >= 1:
		return 0
	}
	x *= math.Pi
	return math.Sin(x) / x * (0.54 + 0.46*math.Cos(x))
}

// bicubic is Keys' cubic convolution with a = -1/2.
func bicubic(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return (((x-5)*x+8)*x - 4) * a
	}
	return 0
}

// lanczos is a sinc in the window of a sinc three times as wide.
func lanczos(x float64) float64 {
	if x < -3 || x >= 3 {
		return 0
	}
	return sinc(x) * sinc(x/3)
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}

// Resize returns the image in another size. Where it shrinks, a new pixel is a weighted mean of all that it covers. Both directions are resampled
// one after the other, rows first, with weights of 22 bits behind the point and a result of 8 bits after each.
func (m *RGB) Resize(width, height int, name string) (*RGB, error) {
	f, ok := filters[name]
	if !ok {
		return nil, fmt.Errorf("no filter %q", name)
	}
	if err := checkSize(width, height); err != nil {
		return nil, fmt.Errorf("resized from %d by %d: %w", m.Width, m.Height, err)
	}
	if err := checkSize(width, m.Height); err != nil {
		return nil, fmt.Errorf("resized from %d by %d to %d columns: %w", m.Width, m.Height, width, err)
	}
	if f.weight == nil {
		return m.nearest(width, height), nil
	}
	if width != m.Width {
		m = m.resampleRows(newSamples(m.Width, width, f))
	}
	if height != m.Height {
		m = m.resampleColumns(newSamples(m.Height, height, f))
	}
	return m, nil
}

// fraction is how many bits of a weight lie behind the point: sums of 255 times weights fit 32 bits with sign and room for what cubics overshoot.
const fraction = 22

// sample is a new pixel: the source pixels from start on, and their weights.
type sample struct {
	start   int
	weights []int32
}

// newSamples returns what the pixels of a row (or column) of size pixels are made of.
func newSamples(source, size int, f filter) []sample {
	scale := float64(source) / float64(size)
	stretch := max(scale, 1)
	support := f.support * stretch
	samples := make([]sample, size)
	var exact []float64
	for i := range samples {
		center := (float64(i) + 0.5) * scale
		start := max(int(center-support+0.5), 0)
		end := min(int(center+support+0.5), source)
		exact = exact[:0]
		sum := 0.0
		for x := start; x < end; x++ {
			w := f.weight((float64(x) - center + 0.5) * (1 / stretch))
			exact = append(exact, w)
			sum += w
		}
		weights := make([]int32, len(exact))
		for x, w := range exact {
			if sum != 0 {
				w /= sum
			}
			weights[x] = int32(math.Copysign(0.5, w) + w*(1<<fraction))
		}
		samples[i] = sample{start, weights}
	}
	return samples
}

func (m *RGB) resampleRows(samples []sample) *RGB {
	out := newRGB(len(samples), m.Height)
	for y := range m.Height {
		from, to := m.row(y), out.row(y)
		for x := range samples {
			s := &samples[x]
			r, g, b := int32(1)<<(fraction-1), int32(1)<<(fraction-1), int32(1)<<(fraction-1)
			pixels := from[3*s.start : 3*(s.start+len(s.weights))]
			for i, w := range s.weights {
				p := pixels[3*i : 3*i+3 : 3*i+3]
				r, g, b = r+w*int32(p[0]), g+w*int32(p[1]), b+w*int32(p[2])
			}
			to[3*x], to[3*x+1], to[3*x+2] = clip(r>>fraction), clip(g>>fraction), clip(b>>fraction)
		}
	}
	return out
}

func (m *RGB) resampleColumns(samples []sample) *RGB {
	out := newRGB(m.Width, len(samples))
	sums := make([]int32, 3*m.Width)
	for y := range samples {
		s := &samples[y]
		for i := range sums {
			sums[i] = 1 << (fraction - 1)
		}
		for i, w := range s.weights {
			for x, p := range m.row(s.start + i) {
				sums[x] += w * int32(p)
			}
		}
		to := out.row(y)
		for x, v := range sums {
			to[x] = clip(v >> fraction)
		}
	}
	return out
}

// nearest takes the source pixel in which the middle of each new one lies. The middles are added up, not multiplied, which decides ties.
func (m *RGB) nearest(width, height int) *RGB {
	places := func(source, size int) []int {
		at := make([]int, size)
		scale := float64(source) / float64(size)
		middle := scale * 0.5
		for i := range at {
			at[i] = min(int(middle), source-1)
			middle += scale
		}
		return at
	}
	columns, rows := places(m.Width, width), places(m.Height, height)
	out := newRGB(width, height)
	for y, row := range rows {
		from, to := m.row(row), out.row(y)
		for x, column := range columns {
			copy(to[3*x:3*x+3], from[3*column:])
		}
	}
	return out
}
