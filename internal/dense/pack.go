package dense

import "sync"

// packRows and packK are how much of a is copied before it is multiplied, so that kernels find it, and the part of b at hand, in the first cache and in few pages.
const (
	packRows = 32
	packK    = 256
)

// pack is the memory of copies.
type pack struct {
	a [packRows / tileRows][packK * tileRows]float32
	b [packK * tileCols]float32
}

var packs = sync.Pool{New: func() any { return &pack{} }}

// add is AddTransposed of whole tiles. A sum is put down and taken up again between parts of k, which changes no bit of it.
func (p *pack) add(c, a, b Matrix, rows, cols, k int) {
	for i := 0; i < rows; i += packRows {
		n := min(packRows, rows-i)
		for l := 0; l < k; l += packK {
			m := min(packK, k-l)
			for t := 0; t < n; t += tileRows {
				copyFew(p.a[t/tileRows][:m*tileRows], a.At(l, i+t))
			}
			for j := 0; j < cols; j += tileCols {
				part := b.At(l, j)
				if n > tileRows {
					copyMany(p.b[:m*tileCols], part)
					part = Matrix{p.b[:], tileCols}
				}
				for t := 0; t < n; t += tileRows {
					tile(c.At(i+t, j), Matrix{p.a[t/tileRows][:], tileRows}, part, m)
				}
			}
		}
	}
}

// copyFew and copyMany copy the first columns of from: those of a tile of a, and of b.
func copyFew(to []float32, from Matrix) {
	for at := 0; len(to) >= tileRows; at += from.Stride {
		*(*[tileRows]float32)(to) = [tileRows]float32(from.Data[at:])
		to = to[tileRows:]
	}
}

func copyMany(to []float32, from Matrix) {
	for at := 0; len(to) >= tileCols; at += from.Stride {
		*(*[tileCols]float32)(to) = [tileCols]float32(from.Data[at:])
		to = to[tileCols:]
	}
}
