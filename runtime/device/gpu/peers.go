package gpu

import (
	"encoding/binary"
	"fmt"
	"slices"

	"llmc/engine"
	"llmc/internal/sym"
	"llmc/runtime/device/limits"
)

// peers is a model's part in a group of cards; the zero value is one card alone.
type peers struct {
	card     int       // number among all of the process
	rank     int       // among those that share its layers
	meeting  *meeting  // nil: there are no others
	machines *Machines // nil: there is this one
	cards    int       // of these
	areas    []area
}

// area is where cards exchange rows of one kind: as many as a form of a step's sizes says. See engine.Peers.
type area struct {
	rows     sym.Dim
	rowBytes int64
	layout   engine.Peers
	memory   Memory
	table    Memory
}

// findAreas lists the kinds of rows that functions exchange.
func findAreas(functions []*function) (areas []area) {
	for _, f := range functions {
		for i := range f.program.Launches {
			l := &f.program.Launches[i]
			rows, ok := peersRows(f.program, l)
			if !ok {
				continue
			}
			at := areaOf(areas, rows)
			if at < 0 {
				at = len(areas)
				areas = append(areas, area{rows: rows})
			}
			_, bytes := f.program.ExchangeRuns(l)
			areas[at].rowBytes = max(areas[at].rowBytes, bytes)
		}
	}
	return areas
}

// areaOf finds the one for rows of a kind; -1: there is none.
func areaOf(areas []area, rows sym.Dim) int {
	return slices.IndexFunc(areas, func(a area) bool { return a.rows == rows })
}

// peersRows is how many rows a launch works on that knows of other cards; ok is false for those that do not.
func peersRows(p *engine.Program, l *engine.Launch) (rows sym.Dim, ok bool) {
	k := engine.FindKernel(l.Kernel)
	if k.Operand(l, "peers").Kind != engine.OperandInput {
		return rows, false
	}
	return p.Buffers[k.Operand(l, "x").Index].Rows, true
}

// take allocates the areas and the tables that launches read, for the largest step.
func (p *peers) take(a allocator, functions []*function, l *limits.Limits) (err error) {
	p.areas = findAreas(functions)
	p.cards = functions[0].program.Cards
	cards := p.cards
	for i := range p.areas {
		area := &p.areas[i]
		rows, err := area.rows.Eval(largest(l))
		if err != nil {
			return err
		}
		area.layout = engine.NewPeers(p.rank, cards, int(rows), area.rowBytes)
		if area.memory, err = a.Alloc(fmt.Sprintf("exchange of %v rows", area.rows), area.layout.Bytes(cards)); err != nil {
			return err
		}
		if area.table, err = a.Alloc(fmt.Sprintf("cards for %v rows", area.rows), int64(4*engine.PeersWords+8*cards)); err != nil {
			return err
		}
	}
	return nil
}

// table is where a launch reads about the other cards.
func (p *peers) table(program *engine.Program, l *engine.Launch) uint64 {
	rows, _ := peersRows(program, l)
	return p.areas[areaOf(p.areas, rows)].table.Addr()
}

// meet tells the other cards where this one's areas are, and makes them ready. Nothing may be launched before all have made theirs ready: see wait.
func (p *peers) meet(d Driver) error {
	if p.meeting == nil {
		return nil
	}
	var own []uint64
	for _, a := range p.areas {
		own = append(own, a.memory.Addr())
	}
	all, err := p.meeting.exchange(p.card, own)
	if err != nil {
		return err
	}
	for i, a := range p.areas {
		l := &a.layout
		var table []byte
		for _, word := range [engine.PeersWords]uint32{l.Card, l.Rows, l.RowBytes, l.Arrived, l.Parts} {
			table = binary.LittleEndian.AppendUint32(table, word)
		}
		for _, areas := range all[p.card-p.rank:][:p.cards] {
			table = binary.LittleEndian.AppendUint64(table, areas[i])
		}
		if err := a.table.Write(0, table); err != nil {
			return err
		}
		if err := d.Clear(a.memory, 0, int64(l.Parts)); err != nil { // counts, and what has arrived
			return err
		}
	}
	return d.Finish()
}

// afterFirst loads code when the first card has loaded its own: a driver that keeps what it has compiled does that once.
func (p *peers) afterFirst(load func() (Code, error)) (code Code, err error) {
	if p.card > 0 {
		if err := p.wait(); err != nil {
			return nil, err
		}
		return load()
	}
	if code, err = load(); err == nil {
		err = p.wait()
	}
	return code, err
}

// wait waits until all cards have come as far.
func (p *peers) wait() error {
	if p.meeting == nil {
		return nil
	}
	_, err := p.meeting.exchange(p.card, nil)
	return err
}

// leastPages makes the number of KV pages that of the card which has room for the fewest.
func (p *peers) leastPages(taken *MemoryPlan) error {
	if p.meeting == nil {
		return nil
	}
	all, err := p.meeting.exchange(p.card, []uint64{uint64(taken.Limits.Pages)})
	if err != nil {
		return err
	}
	least := uint64(taken.Limits.Pages)
	for _, pages := range all {
		least = min(least, pages[0])
	}
	if p.machines != nil {
		if least, err = p.leastOfMachines(least); err != nil {
			return err
		}
	}
	taken.Limits.Pages = int(least)
	taken.KV = taken.PageBytes * int64(taken.Limits.Pages)
	taken.Limits.KVBytes = taken.KV
	return nil
}

// leastOfMachines is the least of a number of all machines, whose first cards tell each other.
func (p *peers) leastOfMachines(n uint64) (uint64, error) {
	if p.card == 0 {
		var err error
		if n, err = p.machines.least(n); err != nil {
			return 0, err
		}
	}
	all, err := p.meeting.exchange(p.card, []uint64{n})
	if err != nil {
		return 0, err
	}
	return all[0][0], nil
}
