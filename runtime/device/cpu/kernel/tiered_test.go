package kernel

import (
	"math/rand/v2"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// packRandomTiered fills a panel of levels with scales of two tiers, of groups subnormal ones among them.
func packRandomTiered(r *rand.Rand, l layout.Linear, panel []byte, rows int) error {
	scales := l.Groups() + 1
	c := layout.Codes{Codes: make([]uint8, rows*l.K), Scales: make([]float32, rows*scales)}
	for i := range c.Scales {
		c.Scales[i] = dtype.E4M3ToF32(uint8(r.IntN(0x7f)))
		if i%scales == l.Groups() {
			c.Scales[i] = r.Float32() / 1024
		}
	}
	for i := range c.Codes {
		c.Codes[i] = uint8(r.IntN(16))
		if r.IntN(3) == 0 {
			c.Codes[i] = []uint8{7, 15}[r.IntN(2)] // the largest levels
		}
	}
	return l.PackCodes(panel, c)
}
