package layout

import (
	"encoding/binary"
	"fmt"

	"llmc/internal/dtype"
)

// Panels of K-quants (llama.cpp, ggml-quants): K in superblocks of 256 with a scale, and one of offsets, for each output, whose groups of Sub k have whole steps and
// offsets of these. Each superblock begins with what its codes are multiplied by:
//
//	[32] f16 scales, [32] f16 scales of offsets, [256/Sub][32] i8 steps, [256/Sub/2][32][2] u8 offsets of two groups, then the steps of codes
//
// Formats without offsets (Zero is their zero point) have neither these nor a scale of them. The last superblock may have fewer codes, but never less before them.

// SuperGroup is the k of a superblock.
const SuperGroup = 256

// offsetPair is how many groups have their offsets side by side, to be multiplied with as many sums of inputs at once.
const offsetPair = 2

// Super tells whether the format has superblocks.
func (f *Format) Super() bool { return f.Sub > 0 }

// subgroups is how many groups a superblock has.
func (f *Format) subgroups() int { return SuperGroup / f.Sub }

// SuperSteps returns where the steps of groups start in a superblock: behind its scales.
func (f *Format) SuperSteps() int {
	n := Lanes * f.ScaleBytes
	if f.Offsets {
		n *= 2
	}
	return n
}

// SuperOffsets returns where the offsets of groups start in a superblock, which for formats without offsets is where its codes do.
func (f *Format) SuperOffsets() int { return f.SuperSteps() + f.subgroups()*Lanes }

// SuperHeader returns the bytes of a superblock before its codes.
func (f *Format) SuperHeader() int {
	n := f.SuperOffsets()
	if f.Offsets {
		n += f.subgroups() * Lanes
	}
	return n
}

// superBytes is the size of a whole superblock.
func (l Linear) superBytes() int { return l.SuperHeader() + SuperGroup/l.KPerStep*StepBytes }

// superNumber is the number that code k of an output stands for, each product rounded as the files' own software does.
func (l Linear) superNumber(panel []byte, lane, k int) float32 {
	s, group := panel[l.ScaleOffset(k/SuperGroup):], k%SuperGroup/l.Sub
	step := int8(s[l.SuperSteps()+group*Lanes+lane])
	v := float32(superScale(s, 0, lane)*float32(step)) * float32(int(l.superCode(panel, lane, k))-l.SuperZero)
	if !l.Offsets {
		return v
	}
	offset := s[l.SuperOffsets()+superOffset(group, lane)]
	return v - float32(superScale(s, 1, lane)*float32(offset))
}

func superScale(super []byte, which, lane int) float32 {
	return dtype.F16ToF32(binary.LittleEndian.Uint16(super[2*(which*Lanes+lane):]))
}

// superOffset is where a group's offset lies among those of a superblock.
func superOffset(group, lane int) int {
	return (group/offsetPair*Lanes+lane)*offsetPair + group%offsetPair
}

func (l Linear) superCode(panel []byte, lane, k int) uint8 {
	if l.KPerStep == 8 {
		return l.nibble(panel, lane, k)
	}
	return panel[l.StepOffset(k)+4*lane+k%4]
}

// packSuper packs rows of codes. Scales are [rows, superblocks], with those of offsets [rows, superblocks, 2]; steps (whose bytes are signed) and offsets
// [rows, groups of Sub].
func (l Linear) packSuper(panel []byte, c Codes, rows int) error {
	supers, groups, scales := l.Groups(), ceilDiv(l.K, l.Sub), 1
	if l.Offsets {
		scales = 2
	}
	if len(c.Scales) != rows*supers*scales || len(c.Steps) != rows*groups || l.Offsets && len(c.Zeros) != rows*groups {
		return fmt.Errorf("%d rows of %s need %d scales and %d steps (and offsets), got %d, %d and %d", rows, l.Name, rows*supers*scales, rows*groups,
			len(c.Scales), len(c.Steps), len(c.Zeros))
	}
	for r := range rows {
		for s := range supers {
			super := panel[l.ScaleOffset(s):]
			for i, scale := range c.Scales[(r*supers+s)*scales:][:scales] {
				if err := l.putScale(super[2*(i*Lanes+r):], scale); err != nil {
					return fmt.Errorf("row %d, superblock %d: %w", r, s, err)
				}
			}
			for g := range min(l.subgroups(), groups-s*l.subgroups()) {
				at := r*groups + s*l.subgroups() + g
				super[l.SuperSteps()+g*Lanes+r] = c.Steps[at]
				if l.Offsets {
					super[l.SuperOffsets()+superOffset(g, r)] = c.Zeros[at]
				}
			}
			lo, hi := s*SuperGroup, min(l.K, (s+1)*SuperGroup)
			if err := l.packSuperCodes(panel[l.StepOffset(lo)+4*r:], c.Codes[r*l.K+lo:r*l.K+hi], l.GroupK(s)); err != nil {
				return fmt.Errorf("row %d, superblock %d: %w", r, s, err)
			}
		}
	}
	return nil
}

// packSuperCodes stores one lane of a superblock, k codes with the padding.
func (l Linear) packSuperCodes(lane []byte, row []uint8, k int) error {
	for _, code := range row {
		if code > l.Most {
			return fmt.Errorf("code %d is above %d", code, l.Most)
		}
	}
	if l.KPerStep == 8 {
		return packNibbles(lane, row, k, uint8(l.SuperZero))
	}
	for i := range k {
		code := uint8(l.SuperZero)
		if i < len(row) {
			code = row[i]
		}
		lane[i/4*StepBytes+i%4] = code
	}
	return nil
}
