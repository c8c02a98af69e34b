package layout

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Panels of codes whose groups are columns anywhere in a row, the same for all rows of a panel:
//
//	[groups][32] f16 scales, [groups][32] u8 zero points, padded to 64 bytes, [Kp] u16 groups of columns, padded to 64 bytes, steps of codes
//
// A code, of 4 bits or 8, stands for (code - zero) * scale of its column's group.

// IndexOffset returns where the groups of columns start in a panel.
func (l Linear) IndexOffset() int { return roundUp(l.Groups()*Lanes*(l.ScaleBytes+1), Align) }

// orderedHeader returns the bytes of a panel before its codes.
func (l Linear) orderedHeader() int { return l.IndexOffset() + roundUp(2*l.KPad(), Align) }

func (l Linear) orderedBytes() int { return l.orderedHeader() + l.KPad()/l.KPerStep*StepBytes }

// groupOf returns the group of column k. What a panel says beyond its groups is held to the last one, as kernels do not look.
func (l Linear) groupOf(panel []byte, k int) int {
	return min(int(binary.LittleEndian.Uint16(panel[l.IndexOffset()+2*k:])), l.Groups()-1)
}

func (l Linear) orderedNumber(panel []byte, lane, k int) float32 {
	g := l.groupOf(panel, k)
	zero := panel[l.Groups()*Lanes*l.ScaleBytes+g*Lanes+lane]
	return float32(int(l.openCode(panel, lane, k))-int(zero)) * l.Scale(panel, lane, g)
}

// packOrdered packs rows of codes whose columns are in the groups that Index says, [rows, K], the same for all rows.
func (l Linear) packOrdered(panel []byte, c Codes, rows int) error {
	groups := l.Groups()
	if len(c.Scales) != rows*groups || len(c.Zeros) != rows*groups || len(c.Index) != rows*l.K {
		return fmt.Errorf("%d rows of %s need %d scales and zero points and %d groups of columns, got %d, %d and %d", rows, l.Name, rows*groups, rows*l.K,
			len(c.Scales), len(c.Zeros), len(c.Index))
	}
	index := l.panelIndex(c, rows)
	for k, g := range index {
		if int(g) >= groups {
			return fmt.Errorf("column %d is in group %d of %d", k, g, groups)
		}
		binary.LittleEndian.PutUint16(panel[l.IndexOffset()+2*k:], g)
	}
	for r := range rows {
		if !zeroScales(c, r, groups) && !slices.Equal(index, c.Index[r*l.K:(r+1)*l.K]) {
			return fmt.Errorf("row %d has its columns in other groups than those before it: rows of one panel must have the same; build with --quant f32", r)
		}
		for g := range groups {
			panel[groups*Lanes*l.ScaleBytes+g*Lanes+r] = c.Zeros[r*groups+g]
			if err := l.putScale(panel[l.ScaleOffset(g)+r*l.ScaleBytes:], c.Scales[r*groups+g]); err != nil {
				return fmt.Errorf("row %d, group %d: %w", r, g, err)
			}
		}
		if err := l.packOrderedCodes(panel[l.StepOffset(0)+4*r:], c.Codes[r*l.K:(r+1)*l.K]); err != nil {
			return fmt.Errorf("row %d: %w", r, err)
		}
	}
	return nil
}

// panelIndex returns the groups of columns of the first row that is not all zero, as rows of padding are.
func (l Linear) panelIndex(c Codes, rows int) []uint16 {
	for r := range rows {
		if !zeroScales(c, r, l.Groups()) {
			return c.Index[r*l.K : (r+1)*l.K]
		}
	}
	return c.Index[:l.K]
}

// zeroScales tells whether all scales of a row are zero, so that it does not matter which of them is whose.
func zeroScales(c Codes, row, groups int) bool {
	return !slices.ContainsFunc(c.Scales[row*groups:(row+1)*groups], func(s float32) bool { return s != 0 })
}

// packOrderedCodes stores one lane of codes.
func (l Linear) packOrderedCodes(lane []byte, row []uint8) error {
	if l.KPerStep == 8 {
		return packNibbles(lane, row, l.KPad(), 0)
	}
	for k, code := range row {
		lane[k/4*StepBytes+k%4] = code
	}
	return nil
}
