package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/ir"
)

// The bounds of numbers of cards are one: this array has no other index.
var _ = [1]struct{}{}[engine.MaxCards-ir.MaxCards]

const (
	exchangeThreads = 256
	// exchangeCTAs share the rows: so few that any card runs all of them at the same time. Each sends all of its rows before it waits for one, so whatever order CTAs start in,
	// what is waited for comes.
	exchangeCTAs = 96
)

// Offsets in the table that input "peers" is: see engine.Peers.
const (
	peersCard     = 0
	peersRows     = 4
	peersRowBytes = 8
	peersArrived  = 12
	peersParts    = 16
	peersAreas    = 4 * engine.PeersWords
)

// exchange is what a CTA does of its rows, of which each card has some columns. It waits for other cards, and for nothing on its own. Unproven on hardware.
//
//	number of this exchange of a row = 1 + counts[row]; its half of the areas is number%2
//	each row: the card's columns -> y, and every other card's area
//	barrier
//	each row, thread d: tells card (card+d)%cards that they are there
//	each row, thread d: waits until that card's are here; barrier; the others' columns, from the card's own area -> y; counts[row] = number
//
// Flags are written with release and read with acquire at the scope of the system: whoever sees one sees what was written before it, on the other card too.
type exchange struct {
	*entry
	cards    int
	runs     []engine.ExchangeRun
	table    ptx.Reg
	card     ptx.Reg // this one
	area     ptx.Reg // of this card
	rowBytes ptx.Reg // u64
	apart    ptx.Reg // u64: bytes from a card's parts of rows to the next one's

	row    ptx.Reg
	number ptx.Reg
	half   ptx.Reg // u64: where the half begins in an area, and the row of card 0 in it
}

func exchangeGrid(*entry) [3]engine.Extent {
	return grid(engine.Extent{Of: constant(exchangeCTAs), Per: 1})
}

func exchangeRows(e *entry) {
	x := exchange{entry: e, cards: int(e.launch.Int("cards", 0)), table: e.pointers["peers"]}
	x.runs, _ = e.program.ExchangeRuns(e.launch)
	x.Section("areas")
	x.card = x.word(peersCard)
	x.area = x.areaOf(x.card)
	x.rowBytes = x.Cvt(ptx.U64, x.word(peersRowBytes))
	x.apart = x.Mul(x.Cvt(ptx.U64, x.word(peersRows)), x.rowBytes)
	peer := e.Lt(e.TidX(), x.cards-1)
	x.each("send", x.send)
	e.Sync()
	x.each("tell", func() { e.If(peer, x.tell) })
	x.each("take", func() {
		e.If(peer, x.await)
		e.Sync()
		x.take()
		e.If(e.Eq(e.TidX(), 0), func() { e.St(e.Index(x.area, x.row, 4), x.number) })
	})
}

// each does something for each row of the CTA.
func (x *exchange) each(section string, do func()) {
	x.Section("%s", section)
	x.For(ptx.Range{Name: section, From: x.CtaX(), To: x.rows("x"), Step: exchangeCTAs, NoUnroll: true}, func(row ptx.Reg) {
		x.row = row
		x.number = x.Add(x.Ld(ptx.U32, x.Index(x.area, row, 4)), 1)
		half := x.Mul(x.Cvt(ptx.U64, x.Mul(x.And(x.number, 1), x.cards)), x.apart)
		x.half = x.Add(x.Add(half, x.Mul(x.Cvt(ptx.U64, row), x.rowBytes)), x.Cvt(ptx.U64, x.word(peersParts)))
		do()
	})
}

// word loads a number of the table.
func (x *exchange) word(offset int) ptx.Reg { return x.Ld(ptx.U32, x.table.At(offset)) }

// areaOf is the address of a card's area.
func (x *exchange) areaOf(card ptx.Reg) ptx.Reg {
	return x.ToGlobal(x.Ld(ptx.U64, x.Index(x.table, card, 8).At(peersAreas)))
}

// partOf is where an area has a card's part of the row.
func (x *exchange) partOf(area, card ptx.Reg) ptx.Reg {
	return x.Add(area, x.Add(x.half, x.Mul(x.Cvt(ptx.U64, card), x.apart)))
}

// flagOf is where an area says how often a card's part of the row has come.
func (x *exchange) flagOf(area, card ptx.Reg) ptx.Reg {
	return x.Index(x.Index(area, x.word(peersArrived), 1), x.Mad(x.row, x.cards, card), 4)
}

// other is the card that comes so many behind this one.
func (x *exchange) other(behind ptx.Operand) ptx.Reg {
	next := x.Add(x.card, behind)
	return x.Select(x.Ge(next, x.cards), x.Sub(next, x.cards), next)
}

// role is the operand that is a buffer.
func (x *exchange) role(buffer int) string {
	for i, o := range x.launch.Operands {
		if o.Kind == engine.OperandBuffer && o.Index == buffer {
			return x.kernel.Roles[i].Name
		}
	}
	return ""
}

// unit is how many bytes of a run are copied at a time: all places in which it may begin are multiples.
func (x *exchange) unit(r *engine.ExchangeRun) int {
	for _, unit := range []int64{16, 8, 4} {
		whole := unit == 4 || x.wholeVectors(x.role(r.X)) && x.wholeVectors(x.role(r.Y))
		if whole && r.From%unit == 0 && r.To%unit == 0 && r.Bytes%unit == 0 {
			return int(unit)
		}
	}
	return 2
}

// copy copies a run with all threads, in units: from a place to several.
func (x *exchange) copy(r *engine.ExchangeRun, from ptx.Reg, to []ptx.Reg) {
	unit, one := x.unit(r), ptx.B32
	if unit == 2 {
		one = ptx.B16
	}
	x.For(ptx.Range{Name: "units", From: x.TidX(), To: int(r.Bytes) / unit, Step: exchangeThreads}, func(i ptx.Reg) {
		at := x.Index(from, i, unit)
		if unit <= 4 {
			v := x.Ld(one, at)
			for _, place := range to {
				x.St(x.Index(place, i, unit), v)
			}
			return
		}
		v := x.LdV(ptx.B32, unit/4, at)
		for _, place := range to {
			x.StV(x.Index(place, i, unit), v)
		}
	})
}

// columnsOf is where a row of the result has what a card has of a run.
func (x *exchange) columnsOf(r *engine.ExchangeRun, card ptx.Reg) ptx.Reg {
	return x.Index(x.Index(x.rowOf(r.Y), card, int(r.Bytes)), int(r.To), 1)
}

// rowOf is the row in a buffer.
func (x *exchange) rowOf(buffer int) ptx.Reg { return x.entry.row(x.role(buffer), x.row) }

// send brings the card's columns to the result and to the other cards.
func (x *exchange) send() {
	var parts []ptx.Reg
	for behind := 1; behind < x.cards; behind++ {
		parts = append(parts, x.partOf(x.areaOf(x.other(x.Const(ptx.U32, behind))), x.card))
	}
	for i := range x.runs {
		r := &x.runs[i]
		to := []ptx.Reg{x.columnsOf(r, x.card)}
		for _, part := range parts {
			to = append(to, x.Index(part, int(r.Staged), 1))
		}
		x.copy(r, x.Index(x.rowOf(r.X), int(r.From), 1), to)
	}
	for _, role := range []string{"y", "y2"} {
		if x.kernel.Operand(x.launch, role).Kind == engine.OperandBuffer {
			x.clearPadding(role)
		}
	}
}

// clearPadding writes the zeros behind the columns of a row of 16 bits.
func (x *exchange) clearPadding(role string) {
	columns := x.cols(role)
	end := (columns + 63) / 64 * 64
	if _, ok := x.pairType(role); !ok || columns == end {
		return
	}
	i := x.Add(x.TidX(), columns)
	x.If(x.Lt(i, end), func() { x.St(x.Index(x.entry.row(role, x.row), i, 2), x.Const(ptx.B16, 0)) })
}

// tell tells another card, each thread one, that the columns have come.
func (x *exchange) tell() {
	other := x.other(x.Add(x.TidX(), 1))
	x.St(x.flagOf(x.areaOf(other), x.card), x.number, ptx.ReleaseSys)
}

// await waits for the columns of that card.
func (x *exchange) await() {
	flag, polls := x.flagOf(x.area, x.other(x.Add(x.TidX(), 1))), x.Const(ptx.U32, 0)
	x.DoWhile("wait", func() ptx.Reg {
		x.Into(polls).Add(polls, 1)
		x.If(x.Ge(polls, mostPolls), x.Trap)
		ahead := x.Sub(x.Ld(ptx.U32, flag, ptx.AcquireSys), x.number).As(ptx.S32) // numbers come round after 2^32
		return x.Lt(ahead, 0)
	})
}

// take brings the others' columns to the result.
func (x *exchange) take() {
	for behind := 1; behind < x.cards; behind++ {
		other := x.other(x.Const(ptx.U32, behind))
		part := x.partOf(x.area, other)
		for i := range x.runs {
			r := &x.runs[i]
			x.copy(r, x.Index(part, int(r.Staged), 1), []ptx.Reg{x.columnsOf(r, other)})
		}
	}
}

// ownColumns copies the columns of a row that are those of the card.
func ownColumns(e *entry) {
	row, columns := e.CtaX(), e.cols("y")
	card := e.Ld(ptx.U32, e.pointers["peers"].At(peersCard))
	from, to := e.Index(e.row("x", row), card, 4*columns), e.row("y", row)
	e.For(ptx.Range{Name: "columns", From: e.TidX(), To: columns, Step: e.threads}, func(i ptx.Reg) {
		e.St(e.Index(to, i, 4), e.Ld(ptx.B32, e.Index(from, i, 4)))
	})
}
