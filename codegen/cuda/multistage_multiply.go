package cuda

import (
	"math"

	"llmc/codegen/ptx"
)

// multiply goes through the chunks of K and returns the lane's sums, by panel and block of tokens.
func (m *multistage) multiply() (total [][][]ptx.Reg) {
	m.Section("parts")
	m.reader.prepare()
	var part [][][]ptx.Reg
	for range m.warpPanels() {
		part = append(part, m.zeroSums(m.reader.operandB().sums, m.warpBlocks()))
		var sums [][]ptx.Reg
		for range m.warpBlocks() {
			sums = append(sums, m.emptySums())
		}
		total = append(total, sums)
	}
	m.For(ptx.Range{Name: "parts", From: 0, To: kParts, NoUnroll: true}, func(v ptx.Reg) {
		m.For(ptx.Range{Name: "chunks", From: m.partStart(v), To: m.partStart(m.Add(v, 1)), NoUnroll: true}, func(c ptx.Reg) {
			m.CopyWait(m.stages - 2)
			m.Sync()
			next := m.Add(c, m.stages-1)
			m.If(m.Lt(next, m.chunks()), func() { m.copies.copy(next, m.stageBefore()) })
			m.CopyCommit()
			m.multiplyStage(part)
			m.Into(m.read).Add(m.read, m.bytes)
			first := m.Addr(m.stagesAt)
			m.When(m.Eq(m.read, m.Add(first, m.stages*m.bytes))).Set(m.read, first)
		})
		m.endPart(total, part)
	})
	return total
}

// stageBefore is where the chunk before the one that is read was, which all threads have left behind.
func (m *multistage) stageBefore() ptx.Reg {
	first := m.Addr(m.stagesAt)
	return m.Sub(m.Select(m.Eq(m.read, first), m.Add(first, m.stages*m.bytes), m.read), m.bytes)
}

// emptySums are what the first part is added to: -0, so that the sum is that part, whatever its sign.
func (m *multistage) emptySums() (sums []ptx.Reg) {
	for range 4 {
		sums = append(sums, m.mutable(ptx.F32, math.Copysign(0, -1)))
	}
	return sums
}

// endPart adds a part to those before it.
func (m *multistage) endPart(total, part [][][]ptx.Reg) {
	for i, blocks := range part {
		for j, sums := range blocks {
			for n, v := range m.numbers(sums) {
				m.Into(total[i][j][n]).Add(total[i][j][n], v)
				m.Set(sums[n], 0)
			}
		}
	}
}

// multiplyStage adds the products of the stage that is read to a part of K.
func (m *multistage) multiplyStage(part [][][]ptx.Reg) {
	b := m.operands()
	at := stagedChunk{multistage: m, lane: m.Add(m.read, m.words)}
	for i := range part {
		at.panel = i
		m.reader.multiply(at, part[i], b)
	}
}

// apartPairs tells that operand B of a lane is 8 bytes in a row, not 4 and 4 that lie 16 bytes apart, as ldmatrix has them.
func (m *multistage) apartPairs() bool { return m.reader.operandB().second == 4 }

// firstUnit finds what a lane loads first of its first block of 8 tokens in a stage: a row of ldmatrix, or 8 bytes.
func (m *multistage) firstUnit() ptx.Reg {
	lane, row := m.Lane(), m.And(m.column, -8)
	if m.apartPairs() {
		unit := m.swizzled(m.Add(row, m.Shr(lane, 2)), m.And(m.Shr(lane, 1), 1))
		return m.Mad(m.And(lane, 1), 8, unit)
	}
	return m.swizzled(m.Add(row, m.And(lane, 7)), m.Shr(lane, 3))
}

// operands loads operand B of the warp's tokens from the stage that is read: one step of the matrix unit at a time, or two by ldmatrix, whose four
// matrices are 64 bytes of 8 tokens. Units of a row are exchanged by exclusive or, so what lies further along k is found in the same way; rows of the
// blocks behind the first, a multiple of 8, are swizzled alike.
func (m *multistage) operands() chunkB {
	b := make(chunkB, m.warpBlocks())
	t, bytes := m.reader.operandB().register, 64
	if m.apartPairs() {
		bytes = 32
	}
	for k := 0; k < m.chunkRow; k += bytes {
		unit := m.unitAt
		if k > 0 {
			unit = m.Xor(unit, k)
		}
		at := m.Add(m.read, unit)
		for j := range b {
			block := at.At(8 * j * m.chunkRow)
			if m.apartPairs() {
				b[j] = append(b[j], as(t, m.LdV(ptx.B32, 2, block)))
				continue
			}
			words := m.Ldmatrix(t, 4, false, block)
			b[j] = append(b[j], words[:2], words[2:])
		}
	}
	return b
}

// stagedChunk is a chunk of a panel in the stage that is read.
type stagedChunk struct {
	multistage *multistage
	lane       ptx.Reg // the lane's words of the warp's first panel, behind the tokens
	panel      int     // among those of the warp
}

func (at stagedChunk) fragments() [][]ptx.Reg {
	return at.multistage.wordsAt(at.lane.At(at.multistage.tokenBytes + at.panel*at.multistage.chunkBytes()))
}

// group is what the group of a step has of each panel: so many bytes, from a place in the stage on.
func (at stagedChunk) group(place, step, bytes int) (panel ptx.Reg, group int) {
	if at.multistage.w.Group < chunk {
		group = 16 * step / at.multistage.w.Group
	}
	return at.multistage.Mad(at.multistage.warpPanel, at.multistage.groups*bytes, at.multistage.read), at.multistage.tokenBytes + place + (at.panel*at.multistage.groups+group)*bytes
}

func (at stagedChunk) scale(step int, element ptx.Reg, bytes int) ptx.Addr {
	panel, offset := at.group(at.multistage.scalesAt, step, at.multistage.w.GroupBytes())
	return at.multistage.Index(panel, element, bytes).At(offset)
}

func (at stagedChunk) zero(step int, element ptx.Reg) ptx.Addr {
	panel, offset := at.group(at.multistage.zerosAt, step, zeroRow)
	return at.multistage.Index(panel, element, 1).At(offset)
}

func (at stagedChunk) tokenScales(block int) []ptx.Reg {
	return at.multistage.LdV(ptx.F32, 2, at.multistage.Index(at.multistage.read, at.multistage.column, 4).At(at.multistage.tokenBytes+at.multistage.tokensAt+4*8*block))
}
