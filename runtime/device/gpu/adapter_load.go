package gpu

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"llmc/engine"
)

// sentBytes is how much of an adapter goes to the device at a time: between two such pieces a step may begin.
const sentBytes = 4 << 20

// LoadAdapter implements engine.AdapterModel. The numbers go to the device, rounded to bf16.
func (m *Model) LoadAdapter(place int, plan *engine.Plan) error {
	a := &m.adapters
	pairs, err := m.limits.AdapterPairs(m.plan, plan, place, a.loaded)
	if err != nil {
		return err
	}
	for i := range pairs {
		if err := m.checkPair(&pairs[i]); err != nil {
			return fmt.Errorf("%s: %w", plan.Path(), err)
		}
	}
	for i := range pairs {
		for _, n := range a.weights[pairs[i].Weight] {
			if err := plan.Guard(func() error { return m.sendPair(n, place, &pairs[i]) }); err != nil {
				return fmt.Errorf("%s: weight %s: %w", plan.Path(), pairs[i].Weight, err)
			}
		}
	}
	for i := range pairs {
		for _, n := range a.weights[pairs[i].Weight] {
			n.parts[place] = partsOf(&pairs[i])
		}
	}
	a.loaded[place] = plan
	return nil
}

// UnloadAdapter implements engine.AdapterModel. What lies in the place stays there; nobody looks at it.
func (m *Model) UnloadAdapter(place int) {
	a := &m.adapters
	if place < 1 || place >= len(a.loaded) {
		return
	}
	for _, n := range a.products {
		n.parts[place] = 0
	}
	a.loaded[place] = nil
}

// partsOf is how many parts of 16 ranks a pair has.
func partsOf(p *engine.AdapterPair) int { return int(p.Rank+engine.AdapterPart-1) / engine.AdapterPart }

// checkPair wants a pair to fit each product of its weight. Weights of other targets are not this program's.
func (m *Model) checkPair(p *engine.AdapterPair) error {
	products := m.adapters.weights[p.Weight]
	if len(products) == 0 && slices.Contains(m.program.Weights, p.Weight) {
		return fmt.Errorf("adapts weight %s, which is of no product that takes adapters", p.Weight)
	}
	for _, n := range products {
		outputs := int64(n.panels) * engine.AdapterPart
		switch {
		case p.K != int64(n.a.K) || p.N != engine.AdapterPanels(outputs)*engine.AdapterLanes:
			return fmt.Errorf("adapts %d inputs and %d outputs of weight %s, which has %d and %d", p.K, p.N, p.Weight, n.a.K, outputs)
		case p.Rank < 1 || partsOf(p) > n.most:
			return fmt.Errorf("adds rank %d to weight %s, which was made of %d matrices: within 1..%d with --max-lora-rank %d", p.Rank, p.Weight, n.Modules, n.most*engine.AdapterPart, m.limits.AdapterRank)
		}
	}
	return nil
}

// sendPair writes the matrices of a product to a place, then its record.
func (m *Model) sendPair(n *adapted, place int, p *engine.AdapterPair) error {
	memory, parts := m.adapters.places[place], partsOf(p)
	down, err := n.packDown(p)
	if err != nil {
		return err
	}
	if err := m.send(memory, n.atA, down); err != nil {
		return err
	}
	up, spans, err := n.packUp(p)
	if err != nil {
		return err
	}
	if err := m.send(memory, n.atB, up); err != nil {
		return err
	}
	if err := m.send(memory, n.span, spans); err != nil {
		return err
	}
	at := memory.Addr()
	var record []byte
	for _, address := range []int64{n.atB, n.span, n.atA} {
		record = binary.LittleEndian.AppendUint64(record, at+uint64(address))
	}
	record = binary.LittleEndian.AppendUint32(record, uint32(parts))
	return m.send(m.adapters.records, n.record+int64(place)*engine.AdapterRecordBytes, record)
}

// send writes to memory of the device in turn with the steps.
func (m *Model) send(to Memory, offset int64, data []byte) error {
	for part := range slices.Chunk(data, sentBytes) {
		if err := m.write(to, offset, part); err != nil {
			return err
		}
		offset += int64(len(part))
	}
	return nil
}

func (m *Model) write(to Memory, offset int64, data []byte) error {
	m.turn.Lock()
	defer m.turn.Unlock()
	if m.closed {
		return errClosed
	}
	return to.Write(offset, data)
}

// number is element i of a little-endian array of f32.
func number(data []byte, i int64) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
}

// packDown returns a in fragments: [ranks padded to 16, k padded to 64] bf16.
func (n *adapted) packDown(p *engine.AdapterPair) ([]byte, error) {
	const part, lanes = engine.AdapterPart, engine.AdapterLanes
	data, rows := make([]byte, partsOf(p)*n.a.PanelBytes()), make([]float32, part*p.K)
	for i := range int64(partsOf(p)) {
		clear(rows)
		for r := range min(part, p.Rank-i*part) {
			rank := i*part + r
			from, row := p.Down[4*(rank/lanes*p.K*lanes+rank%lanes):], rows[r*p.K:(r+1)*p.K]
			for k := range row {
				row[k] = number(from, int64(k)*lanes)
			}
		}
		if err := n.a.PackFloats(data[int(i)*n.a.PanelBytes():][:n.a.PanelBytes()], rows); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// packUp returns b in fragments, [outputs padded to 16, ranks padded to 16] bf16, and the span of each panel.
func (n *adapted) packUp(p *engine.AdapterPair) (data, spans []byte, err error) {
	const part, lanes = engine.AdapterPart, engine.AdapterLanes
	ranks := n.b.K // as many as there may be: a panel of b is cut to those that there are
	bytes, panel, rows := n.panelBytes(partsOf(p)), make([]byte, n.b.PanelBytes()), make([]float32, part*ranks)
	data = make([]byte, 0, int64(n.panels)*bytes)
	for i := range int64(n.panels) {
		from, to := uint32(0), uint32(0) // steps
		for r := range int64(part) {
			output := i*part + r
			given := p.Up[4*(output/lanes*p.Rank*lanes+output%lanes):]
			for rank := range p.Rank {
				v := number(given, rank*lanes)
				rows[r*int64(ranks)+rank] = v
				if step := uint32(rank / part); v != 0 {
					if to == 0 || step < from {
						from = step
					}
					to = max(to, step+1)
				}
			}
		}
		if err := n.b.PackFloats(panel, rows); err != nil {
			return nil, nil, err
		}
		data = append(data, panel[:bytes]...)
		spans = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(spans, from), to)
	}
	return data, spans, nil
}

var _ engine.AdapterModel = (*Model)(nil)
