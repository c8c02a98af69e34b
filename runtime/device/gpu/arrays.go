package gpu

import (
	"encoding/binary"
	"fmt"
	"math"

	"llmc/engine"
	"llmc/runtime/device/limits"
)

// arrays are the step's arrays on the device, by the names of engine.Inputs; "items" has one for each size of block.
type arrays struct {
	memory map[string]Memory
	items  map[int64]Memory // by the launch's attribute block
	words  []byte           // on their way
}

// itemBytes is the size of an engine.Item.
const itemBytes = 16

// take allocates arrays for the largest step.
func (a *arrays) take(d Driver, l *limits.Limits, p *engine.Program) error {
	perSequence := (l.MaxContext + l.PageSize - 1) / l.PageSize
	a.memory, a.items = map[string]Memory{}, map[int64]Memory{}
	for name, n := range map[string]int{
		"ids": l.MaxStepTokens, "positions": l.MaxStepTokens, "ropelen": l.MaxStepTokens, "slots": l.MaxStepTokens, "rows": l.MaxRows,
		"context": l.MaxSequences, "page_start": l.MaxSequences + 1, "pages": l.MaxSequences * perSequence,
	} {
		mem, err := d.Alloc(name, 4*int64(n))
		if err != nil {
			return err
		}
		a.memory[name] = mem
	}
	for i := range p.Launches {
		block := p.Launches[i].Int("block", 0)
		if block == 0 || a.items[block] != nil {
			continue
		}
		mem, err := d.Alloc("items", itemBytes*(int64(l.MaxStepTokens)/block+int64(l.MaxSequences)+1))
		if err != nil {
			return err
		}
		a.items[block] = mem
	}
	return nil
}

// write copies a step to the device.
func (a *arrays) write(s *engine.Step) error {
	rows := make([]int32, len(s.Rows))
	for i := range s.Rows {
		rows[i] = s.Rows[i].Token
	}
	for name, values := range map[string][]int32{
		"ids": s.IDs, "positions": s.Positions, "ropelen": s.RopeLen, "slots": s.Slots, "rows": rows, "context": s.Context,
		"page_start": s.PageStart, "pages": s.Pages,
	} {
		if err := a.copy(a.memory[name], values); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for block, mem := range a.items {
		if err := a.copy(mem, items(s, int32(block))); err != nil {
			return fmt.Errorf("items: %w", err)
		}
	}
	return nil
}

func (a *arrays) copy(mem Memory, values []int32) error {
	a.words = a.words[:0]
	for _, v := range values {
		a.words = binary.LittleEndian.AppendUint32(a.words, uint32(v))
	}
	return mem.Write(0, a.words)
}

// items cuts each sequence's tokens into blocks, and fills the list up to its bound of ceil(T/block) + B items.
func items(s *engine.Step, block int32) []int32 {
	var list []int32
	for b := range s.Context {
		for first := s.SeqStart[b]; first < s.SeqStart[b+1]; first += block {
			list = append(list, int32(b), first, min(block, s.SeqStart[b+1]-first), 0)
		}
	}
	bound := (s.T()+int(block)-1)/int(block) + s.B()
	for len(list) < bound*itemBytes/4 {
		list = append(list, 0)
	}
	return list
}

// decodeFloats reads little-endian f32.
func decodeFloats(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}
