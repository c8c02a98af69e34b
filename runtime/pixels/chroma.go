package pixels

import "image"

// chroma says how a kind of file makes RGB of its planes: how planes of colour differences become as fine as that of lightness, and how three
// samples become a colour. The decoders give the planes; the arithmetic here is that of the usual libraries (libjpeg, libwebp), because that of
// package image is another one: it repeats samples, and it takes WebP's narrower range for JPEG's.
type chroma struct {
	spread map[image.YCbCrSubsampleRatio]spread
	color  func(y, cb, cr int32) (r, g, b int32) // to be clipped
}

// spread makes a row of width samples of the two rows of a plane that are nearest, which have the samples that the plane has a row. below tells
// that the far one lies below the near one.
type spread func(row, near, far []uint8, below bool)

var jpegChroma = chroma{
	spread: map[image.YCbCrSubsampleRatio]spread{
		image.YCbCrSubsampleRatio422: spreadAcross, image.YCbCrSubsampleRatio420: spreadBoth, image.YCbCrSubsampleRatio440: spreadDown,
	},
	color: jpegColor,
}

var webpChroma = chroma{
	spread: map[image.YCbCrSubsampleRatio]spread{image.YCbCrSubsampleRatio420: spreadWebP},
	color:  webpColor,
}

// scales are how many columns and rows share a sample of colour differences.
var scales = map[image.YCbCrSubsampleRatio]image.Point{
	image.YCbCrSubsampleRatio444: {X: 1, Y: 1}, image.YCbCrSubsampleRatio422: {X: 2, Y: 1}, image.YCbCrSubsampleRatio420: {X: 2, Y: 2},
	image.YCbCrSubsampleRatio440: {X: 1, Y: 2}, image.YCbCrSubsampleRatio411: {X: 4, Y: 1}, image.YCbCrSubsampleRatio410: {X: 4, Y: 2},
}

// convert fills out with the colours of the planes, which begin at (0, 0).
func (c *chroma) convert(out *RGB, img *image.YCbCr) {
	by := scales[img.SubsampleRatio]
	width, height := (out.Width+by.X-1)/by.X, (out.Height+by.Y-1)/by.Y
	spread := c.spread[img.SubsampleRatio]
	if spread == nil {
		spread = func(row, near, _ []uint8, _ bool) { repeat(row, near, by.X) }
	}
	cb, cr := make([]uint8, out.Width), make([]uint8, out.Width)
	for y := range out.Height {
		near, below := y/by.Y, y%by.Y >= (by.Y+1)/2
		far := max(near-1, 0)
		if below {
			far = min(near+1, height-1)
		}
		from := func(plane []uint8, row int) []uint8 { return plane[row*img.CStride:][:width] }
		spread(cb, from(img.Cb, near), from(img.Cb, far), below)
		spread(cr, from(img.Cr, near), from(img.Cr, far), below)
		light, row := img.Y[y*img.YStride:][:out.Width], out.row(y)
		for x, l := range light {
			r, g, b := c.color(int32(l), int32(cb[x]), int32(cr[x]))
			row[3*x], row[3*x+1], row[3*x+2] = clip(r), clip(g), clip(b)
		}
	}
}

func clip(v int32) uint8 { return uint8(min(max(v, 0), 255)) }

// repeat gives each sample to as many columns as share it.
func repeat(row, near []uint8, times int) {
	for x := range row {
		row[x] = near[x/times]
	}
}

// spreadAcross weighs the two nearest samples of a row 3 to 1. What is halfway between two values is rounded up in odd columns, down in even ones.
func spreadAcross(row, near, _ []uint8, _ bool) {
	if len(near) < 3 { // as libjpeg does, which has no room for less
		repeat(row, near, 2)
		return
	}
	for x := range row {
		v, next, round := sideways(near, x)
		row[x] = uint8((3*v + next + round) >> 2)
	}
	row[0] = near[0]
	if len(row)%2 == 0 {
		row[len(row)-1] = near[len(near)-1]
	}
}

// sideways returns the sample that lies nearest to column x, the one on the column's other side, and what to round a quarter of their sum with.
func sideways(near []uint8, x int) (v, next, round uint32) {
	i := x / 2
	v = uint32(near[i])
	if x%2 == 0 {
		return v, uint32(near[max(i-1, 0)]), 1
	}
	return v, uint32(near[min(i+1, len(near)-1)]), 2
}

// spreadDown weighs the two nearest samples of a column 3 to 1.
func spreadDown(row, near, far []uint8, below bool) {
	round := uint32(1)
	if below {
		round = 2
	}
	for x := range row {
		row[x] = uint8((3*uint32(near[x]) + uint32(far[x]) + round) >> 2)
	}
}

// spreadBoth weighs the four nearest samples 9 to 3 to 3 to 1.
func spreadBoth(row, near, far []uint8, _ bool) {
	if len(near) < 3 {
		repeat(row, near, 2)
		return
	}
	column := func(i int) uint32 { return 3*uint32(near[i]) + uint32(far[i]) }
	for x := range row {
		i, j, round := x/2, max(x/2-1, 0), uint32(8)
		if x%2 == 1 {
			j, round = min(i+1, len(near)-1), 7
		}
		row[x] = uint8((3*column(i) + column(j) + round) >> 4)
	}
}

// jpegColor is the conversion of JFIF, with 16 bits behind the point.
func jpegColor(y, cb, cr int32) (r, g, b int32) {
	const half = 1 << 15
	cb, cr = cb-128, cr-128
	return y + (91881*cr+half)>>16, y + (-22554*cb-46802*cr+half)>>16, y + (116130*cb+half)>>16
}

// spreadWebP weighs the four nearest samples 9 to 3 to 3 to 1 too, and rounds in two steps.
func spreadWebP(row, near, far []uint8, _ bool) {
	sample := func(i int) (n, f uint32) { return uint32(near[i]), uint32(far[i]) }
	edge := func(i int) uint8 { n, f := sample(i); return uint8((3*n + f + 2) >> 2) }
	row[0] = edge(0)
	n0, f0 := sample(0)
	for i := 1; i <= (len(row)-1)/2; i++ {
		n, f := sample(i)
		sum := n0 + n + f0 + f + 8
		row[2*i-1] = uint8(((sum+2*(n+f0))>>3 + n0) >> 1)
		row[2*i] = uint8(((sum+2*(n0+f))>>3 + n) >> 1)
		n0, f0 = n, f
	}
	if len(row)%2 == 0 {
		row[len(row)-1] = edge(len(near) - 1)
	}
}

// webpColor is the conversion of BT.601 from the range 16 to 235, with 14 bits behind the point of factors, of which 6 stay in the sums.
func webpColor(y, u, v int32) (r, g, b int32) {
	y = 19077 * y >> 8
	return (y + 26149*v>>8 - 14234) >> 6, (y - 6419*u>>8 - 13320*v>>8 + 8708) >> 6, (y + 33050*u>>8 - 17685) >> 6
}
