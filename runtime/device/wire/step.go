// Package wire is how the first of several processes that compute steps together tells the others what to do.
package wire

import (
	"encoding/binary"
	"errors"
	"math"
	"unsafe"

	"llmc/engine"
)

// AppendStep appends what a rank that samples nothing needs of a step.
func AppendStep(to []byte, s *engine.Step) []byte {
	for _, list := range stepLists(s) {
		to = AppendInts(to, *list)
	}
	rows := binary.LittleEndian.AppendUint32(to, uint32(len(s.Rows)))
	for i := range s.Rows {
		rows = binary.LittleEndian.AppendUint32(rows, uint32(s.Rows[i].Token))
	}
	rows = binary.LittleEndian.AppendUint32(rows, uint32(len(s.Soft)))
	return append(rows, bytesOf(s.Soft)...)
}

// stepLists are the arrays of a step that all ranks read.
func stepLists(s *engine.Step) []*[]int32 {
	return []*[]int32{&s.IDs, &s.Positions, &s.RopeLen, &s.Slots, &s.Types, &s.SeqStart, &s.Context, &s.Pages, &s.PageStart, &s.Source.Length, &s.Source.Pages, &s.Source.Start}
}

// ReadStep reads what AppendStep wrote.
func ReadStep(s *engine.Step, data []byte) (err error) {
	for _, list := range stepLists(s) {
		if *list, data, err = TakeInts((*list)[:0], data); err != nil {
			return err
		}
	}
	tokens, data, err := TakeInts(nil, data)
	if err != nil {
		return err
	}
	s.Rows = s.Rows[:0]
	for _, token := range tokens {
		s.Rows = append(s.Rows, engine.Row{Token: token})
	}
	soft, data, err := TakeInts(nil, data)
	if err != nil || len(data) != 0 {
		return errShortStep
	}
	s.Soft = s.Soft[:0]
	for _, bits := range soft {
		s.Soft = append(s.Soft, math.Float32frombits(uint32(bits)))
	}
	return nil
}

var errShortStep = errors.New("the first rank told a step that is cut off, or too long")

// AppendInts appends how many numbers there are, and the numbers.
func AppendInts(to []byte, list []int32) []byte {
	return append(binary.LittleEndian.AppendUint32(to, uint32(len(list))), bytesOf(list)...)
}

// TakeInts reads what AppendInts wrote, and returns what is behind it.
func TakeInts(to []int32, data []byte) ([]int32, []byte, error) {
	if len(data) < 4 {
		return nil, nil, errShortStep
	}
	n := int(binary.LittleEndian.Uint32(data))
	if data = data[4:]; n > len(data)/4 {
		return nil, nil, errShortStep
	}
	for i := range n {
		to = append(to, int32(binary.LittleEndian.Uint32(data[4*i:])))
	}
	return to, data[4*n:], nil
}

// bytesOf are numbers as they lie; targets of this package are little-endian.
func bytesOf[T int32 | float32](list []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(list))), 4*len(list))
}
