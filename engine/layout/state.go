package layout

import (
	"fmt"

	"llmc/internal/dtype"
)

// State describes one layer's part of a page of a cache of states: what a sequence has come to behind the last of the page's tokens.
//
//	[Channels/16][Rows][16] f32   lanes are channels, so that each moves on by itself
type State struct {
	Rows     int
	Channels int // a multiple of 16
}

// StateLanes is the number of channels that lie side by side.
const StateLanes = 16

// Bounds of a state.
const (
	maxStateRows     = 1 << 11
	maxStateChannels = 1 << 16
)

// NewState checks and returns a description.
func NewState(t dtype.Type, rows, channels int) (State, error) {
	switch {
	case t != dtype.F32:
		return State{}, fmt.Errorf("state of %v: kernels read f32", t)
	case rows < 1 || rows > maxStateRows || channels < StateLanes || channels > maxStateChannels || channels%StateLanes != 0:
		return State{}, fmt.Errorf("state of %d rows of %d channels: must be within 1..%d, and multiples of %d up to %d", rows, channels, maxStateRows, StateLanes, maxStateChannels)
	}
	return State{rows, channels}, nil
}

// Blocks returns how many groups of channels there are that lie side by side.
func (s State) Blocks() int { return s.Channels / StateLanes }

// Floats returns the numbers of so many blocks.
func (s State) Floats(blocks int) int { return blocks * s.Rows * StateLanes }

// Bytes returns the size of one layer's part of a page: a multiple of Align.
func (s State) Bytes() int { return 4 * s.Floats(s.Blocks()) }

// At returns the place of a row of a block among the numbers of the page's part.
func (s State) At(block, row int) int { return (block*s.Rows + row) * StateLanes }
