package layout

import (
	"encoding/binary"
	"math"

	"llmc/internal/dtype"
)

// row writes the K numbers of an output of a panel into dst. They are those of at: where a group has one scale and one zero point it looks these up
// once, and finds codes by the step, for whoever verifies or gathers reads every number of a model several times.
func (l Linear) row(dst []float32, panel []byte, lane int) {
	switch {
	case l.Super(), l.Composed():
		for k := range l.K {
			dst[k] = l.at(panel, lane, k)
		}
	case l.Nested:
		l.nestedRow(dst, panel, lane)
	case l.Group == 0:
		l.groupRow(dst[:l.K], panel[4*lane:], l.Scale(panel, lane, 0), l.Zero(panel, lane, 0))
	default:
		for k := 0; k < l.K; k += l.Group {
			g := k / l.Group
			l.groupRow(dst[k:min(k+l.Group, l.K)], panel[l.StepOffset(k)+4*lane:], l.Scale(panel, lane, g), l.Zero(panel, lane, g))
		}
	}
}

// groupRow writes the numbers of a lane whose first step is at the start of panel, and whose next ones follow at intervals of StepBytes.
func (l Linear) groupRow(dst []float32, panel []byte, scale float32, zero int) {
	for first := 0; first < len(dst); first += l.KPerStep {
		word := binary.LittleEndian.Uint32(panel[first/l.KPerStep*StepBytes:])
		part := dst[first:min(first+l.KPerStep, len(dst))]
		switch {
		case l.KPerStep == 1:
			part[0] = math.Float32frombits(word)
		case l.KPerStep == 2:
			for i := range part {
				part[i] = dtype.BF16ToF32(uint16(word>>(16*i))) * scale
			}
		case l.Levels:
			for i := range part {
				part[i] = float32(Level(nibbleOf(word, i))) * scale
			}
		case l.KPerStep == 4:
			for i := range part {
				part[i] = float32(int(uint8(word>>(8*i)))-zero) * scale
			}
		default:
			for i := range part {
				part[i] = float32(int(nibbleOf(word, i))-zero) * scale
			}
		}
	}
}

// nibbleOf is code i of the eight of a step: those of the lower halves of its bytes come first.
func nibbleOf(word uint32, i int) uint8 { return uint8(word>>(i%4*8+i/4*4)) & 15 }

// nestedRow is row of codes that stand for bytes.
func (l Linear) nestedRow(dst []float32, panel []byte, lane int) {
	scale := l.Scale(panel, lane, 0)
	for first := 0; first < l.K; first += l.KPerStep {
		step, offset := l.Step(panel, lane, first/NestedGroup)
		word := binary.LittleEndian.Uint32(panel[l.StepOffset(first)+4*lane:])
		for i := range min(l.KPerStep, l.K-first) {
			dst[first+i] = float32(int(nibbleOf(word, i)*step+offset)-u8Zero) * scale
		}
	}
}
