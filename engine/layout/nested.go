package layout

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Panels of u4n: the codes of 4 bits as in u4, then the 32 scales, then for each group of 32 k 16 bytes of steps and 32 of offsets.

// NestedGroup is the k that share a step and an offset.
const NestedGroup = 32

// Sizes of a group: a byte holds the steps of outputs i (lower half) and 16+i.
const (
	nestedSteps = Lanes / 2
	nestedBytes = nestedSteps + Lanes
)

// NestedOffset returns where the steps of group g start in a panel; its offsets follow.
func (l Linear) NestedOffset(g int) int { return l.ScaleOffset(0) + Lanes*l.ScaleBytes + g*nestedBytes }

// nestedGroups is the number of groups that are stored.
func (l Linear) nestedGroups() int { return l.KPad() / NestedGroup }

// Expanded describes the same weight as u8, which the codes of u4n stand for.
func (l Linear) Expanded() Linear {
	f, err := FindFormat("u8")
	if err != nil {
		panic("layout: " + err.Error())
	}
	return Linear{Format: f, N: l.N, K: l.K, Segment: l.Segment}
}

// nestedCode returns the byte that a code stands for: 128 is the weight 0.
func (l Linear) nestedCode(panel []byte, lane, k int) uint8 {
	step, offset := l.Step(panel, lane, k/NestedGroup)
	return l.nibble(panel, lane, k)*step + offset
}

// Step returns the step and the offset of group g.
func (l Linear) Step(panel []byte, lane, g int) (step, offset uint8) {
	group := panel[l.NestedOffset(g):][:nestedBytes]
	return group[lane%nestedSteps] >> (lane / nestedSteps * 4) & 15, group[nestedSteps+lane]
}

func (l Linear) packNested(panel []byte, c Codes, rows int) error {
	groups := ceilDiv(l.K, NestedGroup)
	if len(c.Steps) != rows*groups || len(c.Zeros) != rows*groups {
		return fmt.Errorf("%d rows of %s need %d steps and offsets, got %d and %d", rows, l.Name, rows*groups, len(c.Steps), len(c.Zeros))
	}
	for g := range l.nestedGroups() {
		group := panel[l.NestedOffset(g):][:nestedBytes]
		for lane := range Lanes {
			step, offset := uint8(0), uint8(u8Zero)
			if lane < rows && g < groups {
				step, offset = c.Steps[lane*groups+g], c.Zeros[lane*groups+g]
			}
			if int(step) > 15 || 15*int(step)+int(offset) > 255 {
				return fmt.Errorf("row %d, group %d: codes of step %d and offset %d do not stand for bytes", lane, g, step, offset)
			}
			group[lane%nestedSteps] |= step << (lane / nestedSteps * 4)
			group[nestedSteps+lane] = offset
		}
	}
	for r := range rows {
		if err := packNibbles(panel[4*r:], c.Codes[r*l.K:(r+1)*l.K], l.KPad(), 0); err != nil {
			return fmt.Errorf("row %d: %w", r, err)
		}
		binary.LittleEndian.PutUint32(panel[l.ScaleOffset(0)+4*r:], math.Float32bits(c.Scales[r]))
	}
	return nil
}
