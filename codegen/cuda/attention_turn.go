package cuda

import (
	"llmc/codegen/ptx"
)

// keyTurns rotates the keys of a tile where they lie in shared memory, by the frequencies of the item's token. A thread has the same pair of
// channels in every so many rows, and the frequency of that pair in a register.
type keyTurns struct {
	*attend
	step           int     // rows from one of the thread's to its next
	row            ptx.Reg // the thread's first
	first          ptx.Reg // place of the pair's first channel in a slot, in that row
	frequency      ptx.Reg
	mine           ptx.Reg // the thread has a pair
	between, bytes int     // from the first channel to the second, from a row to the thread's next
}

func (a *attend) newKeyTurns() keyTurns {
	a.Section("frequencies")
	half := int(a.launch.Int("rotary_dim", 0)) / 2 // at most the threads: a head has at most layout.MaxPlainDim channels
	k := keyTurns{attend: a, step: min(attentionThreads/half, attentionTile), between: 2 * half}
	k.row = a.Div(a.TidX(), half)
	pair := a.Sub(a.TidX(), a.Mul(k.row, half))
	k.mine = a.Lt(k.row, k.step)
	k.bytes = k.step * a.rowBytes()
	width := 2
	if a.interleaved() {
		width, k.between = 4, 2
	}
	k.first = a.Mad(k.row, a.rowBytes(), a.Mul(pair, width))
	f := newFrequencies(a.entry, a.first)
	k.frequency = a.Ld(ptx.F32, a.Index(f.table, pair, 4))
	f.scale(k.frequency, pair)
	return k
}

func (a *attend) interleaved() bool { return a.launch.Text("style", "") == "interleaved" }

// turn rotates the keys in a slot, of the tile that begins at a position. Rows behind the last position are zeros and stay so.
func (k *keyTurns) turn(slot, position ptx.Reg) {
	k.Section("rotation")
	k.If(k.mine, func() {
		at := k.Add(slot, k.first)
		first := k.Add(position, k.row.As(ptx.S32))
		last := k.Add(position, attentionTile)
		k.For(ptx.Range{Name: "rows", From: first, To: last, Step: k.step}, func(p ptx.Reg) {
			a, b := k.loadPair(at)
			k.turnPair(a, b, k.Cvt(ptx.F32, p), k.frequency)
			k.storePair(at, a, b)
			k.Into(at).Add(at, k.bytes)
		})
	})
}

func (k *keyTurns) loadPair(at ptx.Reg) (a, b ptx.Reg) {
	if k.interleaved() {
		both := k.widen(k.Ld(ptx.BF16x2, at))
		return both[0], both[1]
	}
	return k.Cvt(ptx.F32, k.Ld(ptx.BF16, at)), k.Cvt(ptx.F32, k.Ld(ptx.BF16, at.At(k.between)))
}

func (k *keyTurns) storePair(at, a, b ptx.Reg) {
	if k.interleaved() {
		k.St(at, k.Cvt2(ptx.BF16x2, a, b))
		return
	}
	k.St(at, k.Cvt(ptx.BF16, a))
	k.St(at.At(k.between), k.Cvt(ptx.BF16, b))
}
