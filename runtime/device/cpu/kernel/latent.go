package kernel

import (
	"unsafe"

	"llmc/engine/layout"
)

// Rows of a latent cache are keys; their first channels are the values too. Pages hold them as keys, whose lanes are positions, once. Kernels
// of values want lanes of channels: a split's are turned before its rows are weighted, which many query heads that share them pay for together.

// turnLatent makes the values of the panels that the tile sees.
func (s *Set) turnLatent(sc *attendScratch, t *attendTile) {
	turn := s.turn[t.kind()]
	size, channels := panelPositions/t.Pack()*t.VRowBytes(), min(t.DimV(), t.DimK())
	grow(&sc.latent, SplitLength/panelPositions*size)
	lo, hi := t.span()
	for i := lo / panelPositions; i*panelPositions < hi; i++ {
		p, values := &sc.panels[i], unsafe.Pointer(&sc.latent[i*size])
		turn(values, p.k, channels, t.VRowBytes())
		p.v = values
	}
}

// storeLatent stores a row at slot.
func (s *Set) storeLatent(room *storeScratch, kernels *attendKernels, c layout.KV, base unsafe.Pointer, slot int, row []float32) {
	key := unsafe.Add(base, c.K(0, slot, 0))
	if kernels.convert == nil {
		kernels.storeKey(key, &row[0], c.Dim)
		kernels.padKey(c, key)
		return
	}
	s.storeRow(room, kernels, c, key, unsafe.Add(base, c.KScale(0, slot)), row, keyPlace(c))
}

// A turnFunc makes the values of 16 positions of the first channels of a panel of keys. Rows of values are vRow bytes apart.
type turnFunc func(dst, panel unsafe.Pointer, channels, vRow int)

// refTurns are by kind of cache.
var refTurns = [kvKinds]turnFunc{
	kvF32: turnPlain[uint32], kvF16: turnPlain[uint16], kvE4M3: turnPlain[uint8], kvBF16: turnPairs, kvI8: turnQuads, kvI16: turnPairs,
}

// turnBlock is how many channels an assembly function turns at a time.
const turnBlock = 16

// turnBlocks turns whole blocks by a function of its own, and what is left as the reference does.
func turnBlocks(kind int, turn func(dst, panel unsafe.Pointer, blocks, vRow int)) turnFunc {
	element := 1
	if kind == kvBF16 || kind == kvI16 {
		element = 2
	}
	return func(dst, panel unsafe.Pointer, channels, vRow int) {
		n := channels &^ (turnBlock - 1)
		if n > 0 {
			turn(dst, panel, n/turnBlock, vRow)
		}
		if n < channels {
			refTurns[kind](unsafe.Add(dst, kvLaneBytes[kind]*n), unsafe.Add(panel, panelPositions*element*n), channels-n, vRow)
		}
	}
}

// turnPlain turns elements that share no lane.
func turnPlain[T uint32 | uint16 | uint8](dst, panel unsafe.Pointer, channels, vRow int) {
	size := int(unsafe.Sizeof(T(0)))
	for d := range channels {
		lanes := at[[panelPositions]T](panel, d*panelPositions*size)
		for p, v := range lanes {
			*at[T](dst, p*vRow+d*size) = v
		}
	}
}

// turnPairs turns lanes of two channels of a position into lanes of two positions of a channel. There is an even number of channels.
func turnPairs(dst, panel unsafe.Pointer, channels, vRow int) {
	for d := 0; d < channels; d += 2 {
		lanes := at[[panelPositions]uint32](panel, 4*panelPositions*d/2)
		for p := range panelPositions / 2 {
			a, b := lanes[2*p], lanes[2*p+1]
			*at[[2]uint32](dst, p*vRow+4*d) = [2]uint32{a&0xffff | b<<16, a>>16 | b&0xffff0000}
		}
	}
}

// turnQuads turns lanes of four channels of a position into lanes of four positions of a channel. The number of channels is a multiple of four.
func turnQuads(dst, panel unsafe.Pointer, channels, vRow int) {
	const even = 0x00ff00ff // bytes 0 and 2
	for d := 0; d < channels; d += 4 {
		lanes := at[[panelPositions]uint32](panel, 4*panelPositions*d/4)
		for p := range panelPositions / 4 {
			x := lanes[4*p : 4*p+4 : 4*p+4]
			a, b := x[0]&even|x[1]&even<<8, x[2]&even|x[3]&even<<8   // channels 0 and 2
			c, e := x[0]>>8&even|x[1]&^even, x[2]>>8&even|x[3]&^even // channels 1 and 3
			*at[[4]uint32](dst, p*vRow+4*d) = [4]uint32{a&0xffff | b<<16, c&0xffff | e<<16, a>>16 | b&0xffff0000, c>>16 | e&0xffff0000}
		}
	}
}
