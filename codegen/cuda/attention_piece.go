package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/internal/sym"
)

// piece is the part of an item's splits that a CTA has. A CTA that has all of them merges them as it goes. Where few sequences would leave most of
// the card idle, the work list gives an item to several CTAs. Each then writes what every one of its splits gave to partials, and the last
// one to come merges all of them in order of position: the same operations on the same numbers.
//
// What is needed at the end of a split alone is read from the item again: registers are scarce.
type piece struct {
	*attend
	last  ptx.Reg // position behind which the CTA has nothing to do
	end   ptx.Reg // the sequence's last position, where tokens see some ahead of their own
	alone ptx.Reg // the CTA has all splits
	from  ptx.Reg // split of the CTA's first position
}

// extra bounds the items that the work list may add to those of whole items: as many as fill the target's card.
func (a *attend) extra() int {
	return (linearGroup*a.e.cores + a.planes() - 1) / a.planes()
}

// planes is how many CTAs an item has.
func (a *attend) planes() int { return a.kvHeads * a.parts }

// itemWords is the size of an engine.Item in u32.
const itemWords = 8

// item reads the CTA's item. The list begins with the counters.
func (a *attend) item() []ptx.Reg {
	at := a.e.Index(a.e.pointers["items"], a.e.CtaX(), 4*itemWords).At(4 * engine.AttentionCounters(a.extra(), a.planes()))
	return append(a.e.LdV(ptx.U32, 4, at), a.e.LdV(ptx.U32, 4, at.At(16))...)
}

func (a *attend) newPiece(item []ptx.Reg) piece {
	a.e.Section("piece")
	w := piece{attend: a, from: item[3].As(ptx.S32), alone: a.e.Le(item[5], 1)}
	if a.seesAhead() {
		w.end = a.endOfSequence(item)
	}
	w.last = a.e.Min(a.lastPosition(item), a.e.Sub(a.e.Mul(item[4].As(ptx.S32), attentionSplit), 1))
	return w
}

// lastPosition is the last one that the item's last token sees.
func (a *attend) lastPosition(item []ptx.Reg) ptx.Reg {
	if a.reach.Text {
		return a.endOfSequence(item)
	}
	own := a.e.Ld(ptx.S32, a.e.Index(a.e.pointers["positions"], a.e.Sub(a.e.Add(item[1], item[2]), 1), 4))
	if a.reach.Ahead == 0 {
		return own
	}
	return a.lastSeen(own, a.endOfSequence(item))
}

// endOfSequence is the last position that the item's sequence has, or its text.
func (a *attend) endOfSequence(item []ptx.Reg) ptx.Reg {
	return a.e.Sub(a.e.Ld(ptx.S32, a.e.Index(a.told("context"), item[0], 4)), 1)
}

// lastSeen is the last position that a token at a position sees in a sequence that ends with position end. Positions are below 2^30, so that one that many
// ahead is behind the end.
func (a *attend) lastSeen(position, end ptx.Reg) ptx.Reg {
	if a.reach.Ahead >= 1<<30 {
		return end
	}
	return a.e.Min(a.e.Add(position, a.reach.Ahead), end)
}

// firstPosition is where the first tile begins that a token of the item sees.
func (a *attend) firstPosition(item []ptx.Reg) ptx.Reg {
	if a.reach.FromFirst() {
		return a.e.Const(ptx.S32, 0)
	}
	oldest := a.e.Ld(ptx.S32, a.e.Index(a.e.pointers["positions"], item[1], 4))
	return a.e.And(a.e.Max(a.firstSeen(oldest), 0), -attentionTile)
}

// firstSeen is the first position that a token at a position sees, which may be before the first one that there is.
func (a *attend) firstSeen(position ptx.Reg) ptx.Reg {
	if a.reach.Chunk == 0 {
		return a.e.Sub(position, a.reach.Window-1)
	}
	first := a.ofChunk(position)
	if a.reach.Window > 0 {
		first = a.e.Max(first, a.e.Sub(position, a.reach.Window-1))
	}
	return first
}

// ofChunk is where the chunk of a position begins.
func (a *attend) ofChunk(position ptx.Reg) ptx.Reg {
	if n := a.reach.Chunk; n&(n-1) == 0 {
		return a.e.And(position, -n)
	}
	return a.e.Sub(position, a.e.Rem(position, a.reach.Chunk))
}

// plane is the CTA's number among those of an item.
func (a *attend) plane() ptx.Reg {
	if a.parts == 1 {
		return a.e.CtaY()
	}
	return a.e.Mad(a.e.CtaY(), a.parts, a.e.CtaZ())
}

// partPlace is where the lane's first row of a split of the item lies in partials: the largest exponent, the sum, then the channels.
func (s *rowState) partPlace(item []ptx.Reg, split ptx.Reg) ptx.Reg {
	before := s.e.Sub(split, s.split(s.firstPosition(item))).As(ptx.U32)
	number := s.e.Add(item[6], s.e.Mad(before, s.e.Mul(item[2], s.group), s.number))
	return s.e.Index(s.e.pointers["partials"], s.e.Mad(number, s.planes(), s.plane()), engine.PartialRowBytes(s.values))
}

// endSplit is for the end of a split, in the tile at a position.
func (a *attend) endSplit(plan scorePlan, position ptx.Reg) {
	a.e.Section("end of a split")
	s := plan.state()
	a.e.IfElse(a.work.alone, s.fold, func() {
		s.eachPart(plan, s.partPlace(a.item(), a.split(position)), func(i int, at ptx.Reg) {
			leads := a.e.And(plan.leads(), a.e.Ge(s.to[i], 0))
			a.e.When(leads).StV(at, []ptx.Reg{s.partLargest[i], s.partSum[i]})
		}, func(i, n int, at ptx.Address) {
			low, high := s.resultPair(s.part, n, i)
			a.e.When(a.e.Ge(s.to[i], 0)).StV(at, []ptx.Reg{low, high})
		})
	})
	s.clearPart()
}

// split is the number of a position's split.
func (a *attend) split(position ptx.Reg) ptx.Reg { return a.e.Shr(position, log2(attentionSplit)) }

// eachPart calls row for each of the lane's rows and pair for each pair of channels, with their places in partials: first is that of the first.
func (s *rowState) eachPart(plan scorePlan, first ptx.Reg, row func(i int, at ptx.Reg), pair func(i, n int, at ptx.Address)) {
	for i := range 2 {
		at := s.e.Index(first, s.e.Const(ptx.U32, 8*i*s.planes()), engine.PartialRowBytes(s.values))
		row(i, at)
		plan.blocks(func(n int, column ptx.Reg) {
			place := func() { pair(i, n, s.e.Index(at, column, 4).At(engine.PartialHeadBytes)) }
			if room := (engine.PartialRowBytes(s.values) - engine.PartialHeadBytes) / 4; room < s.valuesPad() {
				s.e.If(s.e.Lt(column, room), place)
				return
			}
			place()
		})
	}
}

// finish writes the results: of an item that the CTA has alone, or if it is the last of those that have it.
func (a *attend) finish(plan scorePlan) {
	a.e.Section("last piece")
	w := &a.work
	last := a.e.Mov(a.e.Const(ptx.U32, 1))
	a.e.If(w.alone.Not(), func() {
		// Nobody needs tops any more when all have written their parts.
		a.e.Set(last, a.e.lastPiece(a.tops, a.e.Sync, func() (at, others ptx.Reg) {
			item := a.item()
			others = a.e.Sub(item[5], 1)
			return a.e.Index(a.e.pointers["items"], a.e.Mad(item[7], a.planes(), a.plane()), 4), others
		}))
		a.e.If(a.e.Eq(last, 1), func() { a.mergeParts(plan) })
	})
	a.e.If(a.e.Eq(last, 1), func() {
		a.e.Section("results")
		plan.state().unpark()
		plan.state().results(plan)
	})
	if a.e.hasMaxima("y") {
		a.e.Sync()
		a.e.If(a.e.Eq(last, 1), a.storeMaxima)
	}
}

// mergeParts folds what all pieces of the item wrote, in order of position. Rows that are not there stay as they are.
func (a *attend) mergeParts(plan scorePlan) {
	a.e.Section("parts")
	s, item := plan.state(), a.item()
	from := a.split(a.firstPosition(item))
	end := a.e.Add(a.split(a.lastPosition(item)), 1)
	at := s.partPlace(item, from)
	step := a.e.Mul(a.e.Mul(item[2], a.group), a.planes())
	a.e.For(ptx.Range{Name: "parts", From: from, To: end}, func(ptx.Reg) {
		s.eachPart(plan, at, func(i int, at ptx.Reg) {
			a.e.When(a.e.Ge(s.to[i], 0)).Into(s.partLargest[i], s.partSum[i]).LdV(ptx.F32, 2, at)
		}, func(i, n int, at ptx.Address) {
			low, high := s.resultPair(s.part, n, i)
			a.e.When(a.e.Ge(s.to[i], 0)).Into(low, high).LdV(ptx.F32, 2, at)
		})
		s.fold()
		a.e.Into(at).Index(at, step, engine.PartialRowBytes(a.values))
	})
}

// plan gives the launch what the device must know to write the work list, and memory.
func (a *attend) plan(l *engine.Launch, p *engine.Program) {
	for _, attr := range []struct {
		name  string
		value int
	}{{"block", a.block}, {"group", a.group}, {"planes", a.planes()}, {"extra", a.extra()}} {
		l.Attrs = append(l.Attrs, engine.Attr{Name: attr.name, Int: int64(attr.value)})
	}
	if a.latent() {
		l.Attrs = append(l.Attrs, engine.Attr{Name: "rank", Int: int64(a.values)})
	}
	a.e.place("partials", a.partials(p))
}

// partials gives the launch memory for the parts of items that several CTAs have: enough for a sequence that is as long as any may be, and sixteen
// splits for each CTA that fills the card.
func (a *attend) partials(p *engine.Program) engine.Operand {
	const splitsPerCTA, line = 16, engine.PartialLineBytes
	splitBytes := a.group * a.planes() * engine.PartialRowBytes(a.values)
	lines := sym.Of(sym.S).Scale(int64(splitBytes/attentionSplit+line-1) / line).Add(constant((1 + splitsPerCTA*a.extra()) * splitBytes / line))
	return pieceMemory(p, "partials", lines)
}
