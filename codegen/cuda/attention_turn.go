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

func (a *attend) newKeyTurns(token ptx.Reg) keyTurns {
	a.e.Section("frequencies")
	half := int(a.e.launch.Int("rotary_dim", 0)) / 2 // at most the threads: a head has at most layout.MaxPlainDim channels
	k := keyTurns{attend: a, step: min(attentionThreads/half, attentionTile), between: 2 * half}
	k.row = a.e.Div(a.e.TidX(), half)
	pair := a.e.Sub(a.e.TidX(), a.e.Mul(k.row, half))
	k.mine = a.e.Lt(k.row, k.step)
	k.bytes = k.step * a.rowBytes()
	width := 2
	if a.interleaved() {
		width, k.between = 4, 2
	}
	k.first = a.e.Mad(k.row, a.rowBytes(), a.e.Mul(pair, width))
	f := newFrequencies(a.e, token)
	k.frequency = a.e.Ld(ptx.F32, a.e.Index(f.table, pair, 4))
	f.scale(k.frequency, pair)
	return k
}

func (a *attend) interleaved() bool { return a.e.launch.Text("style", "") == "interleaved" }

// turn rotates the keys in a slot, of the tile that begins at a position, and returns where they are then. Rows behind the last position are
// zeros and stay so. Codes become numbers first, in a tile of their own.
func (k *keyTurns) turn(slot, position ptx.Reg) (tile ptx.Reg) {
	tile = slot
	if k.scaled() {
		tile = k.turned
		k.expandTile(slot)
		k.e.Sync()
	}
	k.e.Section("rotation")
	k.e.If(k.mine, func() {
		at := k.e.Add(tile, k.first)
		first := k.e.Add(position, k.row.As(ptx.S32))
		last := k.e.Add(position, attentionTile)
		k.e.For(ptx.Range{Name: "rows", From: first, To: last, Step: k.step}, func(p ptx.Reg) {
			a, b := k.loadPair(at)
			k.e.turnPair(a, b, k.e.Cvt(ptx.F32, p), k.frequency)
			k.storePair(at, a, b)
			k.e.Into(at).Add(at, k.bytes)
		})
	})
	return tile
}

// expandTile writes the keys in a slot to the tile of numbers, four channels of a row at a time. They are rounded to f16 here, and again when
// they have turned.
func (k *keyTurns) expandTile(slot ptx.Reg) {
	k.e.Section("numbers of the keys")
	if k.e.kvFormat().Turned {
		k.expandOctets(slot)
		return
	}
	words := k.dimPad() / 4
	k.e.For(ptx.Range{Name: "words", From: k.e.TidX(), To: attentionTile * words, Step: attentionThreads}, func(i ptx.Reg) {
		row := k.e.Div(i, words)
		word := k.e.Sub(i, k.e.Mul(row, words))
		scale := k.e.Ld(ptx.F16, k.e.Index(slot, row, kvScaleBytes).At(k.tileScale()))
		both := k.e.Pack(ptx.F16x2, scale, scale)
		if factor := k.format.codes.factor; factor != 1 {
			both = k.e.Mul(both, k.e.Const(ptx.F16x2, factor))
		}
		codes := k.e.Ld(ptx.B32, k.e.Mad(row, k.tileRowBytes(), k.e.Index(slot, word, 4)))
		pairs := k.format.codes.expand(k.attend, codes, false)
		k.e.StV(k.e.Mad(row, k.rowBytes(), k.e.Index(k.turned, word, 8)), []ptx.Reg{k.e.Mul(pairs[0], both), k.e.Mul(pairs[1], both)})
	})
}

func (k *keyTurns) loadPair(at ptx.Reg) (a, b ptx.Reg) {
	if k.interleaved() {
		low, high := k.e.Unpack(k.format.number, k.e.Ld(k.format.pair, at))
		return k.e.Cvt(ptx.F32, low), k.e.Cvt(ptx.F32, high)
	}
	return k.e.Cvt(ptx.F32, k.e.Ld(k.format.number, at)), k.e.Cvt(ptx.F32, k.e.Ld(k.format.number, at.At(k.between)))
}

func (k *keyTurns) storePair(at, a, b ptx.Reg) {
	if k.interleaved() {
		k.e.St(at, k.e.Cvt2(k.format.pair, a, b))
		return
	}
	k.e.St(at, k.e.Cvt(k.format.number, a))
	k.e.St(at.At(k.between), k.e.Cvt(k.format.number, b))
}
