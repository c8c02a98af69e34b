package layout

import "strings"

// Packed is a weight [N, K] in the order in which some kernel reads it: panels of whole rows, each packed on its own.
type Packed interface {
	PanelRows() int  // rows of a panel, the last one's padding included
	PanelBytes() int // a multiple of Align
	Panels() int
	// Rows returns the rows [lo, hi) of a panel.
	Rows(panel int) (lo, hi int)
	Bytes() int
	// PackFloats writes a panel from rows of numbers, PackCodes from codes; each layout takes one of them.
	PackFloats(panel []byte, rows []float32) error
	PackCodes(panel []byte, c Codes) error
	// Row writes the K numbers of output n into dst: the meaning of the packed bytes.
	Row(dst []float32, data []byte, n int)
}

// Find describes a weight [n, k] stored in the layout of that name, whose sums over k are cut into segments of segment.
func Find(name string, n, k, segment int) (Packed, error) {
	if strings.HasPrefix(name, "frag.") {
		return NewFragments(name, n, k)
	}
	return New(name, n, k, segment)
}

// PanelRows returns 32.
func (l Linear) PanelRows() int { return Lanes }

// Rows returns the rows of a panel.
func (l Linear) Rows(panel int) (lo, hi int) { return panel * Lanes, min(l.N, (panel+1)*Lanes) }
