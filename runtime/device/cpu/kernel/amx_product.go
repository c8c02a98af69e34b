package kernel

import (
	"unsafe"

	"llmc/engine/layout"
)

// linear is Linear by tiles.
func (p *amxProduct) linear(y []float32, ldy, rows, lo, hi int) {
	block := p.blockRows()
	for r0 := 0; r0 < rows; r0 += block {
		p.pack(r0, min(block, rows-r0))
		whole := min(hi, p.w.N/layout.Lanes)
		for panel := lo; panel < whole; {
			n := min(p.callPanels(), whole-panel)
			p.expandPanels(panel, n)
			out := y[r0*ldy+panel*layout.Lanes:]
			p.run(panel, n, 0, p.rows, unsafe.Pointer(&out[0]), 4*ldy)
			for i := panel; i < panel+n; i++ {
				p.set.finishOutputs(p.w, p.x, i, r0, y[r0*ldy+i*layout.Lanes:], ldy, p.rows)
			}
			panel += n
		}
		if whole < hi {
			p.lastPanel(whole, y[r0*ldy+whole*layout.Lanes:], ldy)
		}
	}
}

// lastPanel multiplies with a panel that has fewer outputs than lanes.
func (p *amxProduct) lastPanel(panel int, y []float32, ldy int) {
	width := p.w.N - panel*layout.Lanes
	p.expandPanels(panel, 1)
	for r := 0; r < p.rows; r += stagedRows {
		n := min(stagedRows, p.rows-r)
		p.run(panel, 1, r, n, unsafe.Pointer(&p.sc.staged[0]), 4*layout.Lanes)
		p.set.finishOutputs(p.w, p.x, panel, p.first+r, p.sc.staged, layout.Lanes, n)
		for i := range n {
			copy(y[(r+i)*ldy:][:width], p.sc.staged[i*layout.Lanes:])
		}
	}
}

// swiglu is LinearSwiGLU by tiles.
func (p *amxProduct) swiglu(y []float32, ldy, n, rows, lo, hi int) {
	pairs, staged := 1, stagedRows
	switch {
	case p.expand != nil:
		pairs, staged = expandedPanels/2, amxRows
	case p.w.Gate.silu():
		staged = gatedRows
	}
	block := p.blockRows()
	for r0 := 0; r0 < rows; r0 += block {
		p.pack(r0, min(block, rows-r0))
		for pair := lo; pair < hi; pair += pairs {
			panels := 2 * min(pairs, hi-pair)
			p.expandPanels(2*pair, panels)
			for r := 0; r < p.rows; r += staged {
				rows := min(staged, p.rows-r)
				p.stage(2*pair, panels, r, rows)
				if pairs == 1 {
					p.set.gateTile(p.w.Gate, y[(r0+r)*ldy+pair*layout.Lanes:], ldy, min(layout.Lanes, n-pair*layout.Lanes), p.sc.staged, rows)
					continue
				}
				for i := range rows {
					p.gateRow(y[(r0+r+i)*ldy+pair*layout.Lanes:], n-pair*layout.Lanes, i, panels)
				}
			}
		}
	}
}

// stage computes rows of panels side by side in scratch memory.
func (p *amxProduct) stage(panel, panels, r, rows int) {
	stride := panels * layout.Lanes
	p.run(panel, panels, r, rows, unsafe.Pointer(&p.sc.staged[0]), 4*stride)
	for i := range panels {
		p.set.finishOutputs(p.w, p.x, panel+i, p.first+r, p.sc.staged[i*layout.Lanes:], stride, rows)
	}
}

// gateRow stores row i of the pairs of panels that were staged, n outputs at most.
func (p *amxProduct) gateRow(y []float32, n, i, panels int) {
	row := p.sc.staged[i*panels*layout.Lanes:][:panels*layout.Lanes]
	for pair := 0; pair < panels/2; pair++ {
		width := min(layout.Lanes, n-pair*layout.Lanes)
		out := y[pair*layout.Lanes:][:width]
		gate, up := row[2*pair*layout.Lanes:], row[(2*pair+1)*layout.Lanes:]
		p.set.Gate(p.w.Gate, out, gate[:width], up[:width])
	}
}
