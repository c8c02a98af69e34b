package kernel

import "llmc/engine/layout"

// Scratch is the memory that one worker's kernel calls need besides their operands. Calls of different workers need different ones.
type Scratch struct {
	linear linearArgs
	tile   [maxTile * 2 * layout.Lanes]float32
	attend attendScratch
}

// NewScratch returns scratch for attention with heads of up to headDim channels.
func NewScratch(headDim int) *Scratch { return &Scratch{attend: newAttendScratch(headDim)} }
