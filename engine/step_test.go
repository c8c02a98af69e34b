package engine

import (
	"reflect"
	"testing"
)

// TestEndSequence wants the ragged arrays of a sequence that begins and of one that goes on in pages out of order.
func TestEndSequence(t *testing.T) {
	t.Parallel()
	s := &Step{}
	for range 2 { // in new memory and in used memory
		s.Reset()
		s.IDs, s.Pages = append(s.IDs, 7, 8, 9), append(s.Pages, 5, 2)
		s.EndSequence(0, 3, 4)
		s.Rows = append(s.Rows, s.NextRow())
		s.IDs, s.Pages = append(s.IDs, 4, FromRow(1)), append(s.Pages, 6, 1, 3)
		s.EndSequence(7, 8, 4)
		s.Rows = append(s.Rows, s.NextRow())
	}
	want := Step{
		IDs: []int32{7, 8, 9, 4, -2}, Positions: []int32{0, 1, 2, 7, 8}, RopeLen: []int32{3, 3, 3, 8, 9}, Slots: []int32{20, 21, 22, 7, 12},
		SeqStart: []int32{0, 3, 5}, Context: []int32{3, 9}, Pages: []int32{5, 2, 6, 1, 3}, PageStart: []int32{0, 2, 5},
		Rows: []Row{{Token: 2, Position: 3}, {Token: 4, Position: 9}},
	}
	if !reflect.DeepEqual(*s, want) {
		t.Errorf("got  %+v\nwant %+v", *s, want)
	}
}
