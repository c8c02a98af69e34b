package layout

import (
	"testing"

	"llmc/internal/dtype"
)

// Every row of every block has its own numbers, inside the page's part, and what is no state is refused.
func TestStateRowsAreDistinct(t *testing.T) {
	s, err := NewState(dtype.F32, 5, 48)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for block := range s.Blocks() {
		for row := range s.Rows {
			at := s.At(block, row)
			for lane := range StateLanes {
				if seen[at+lane] || 4*(at+lane) >= s.Bytes() {
					t.Errorf("block %d, row %d, lane %d lies at %d, where something is or the page ends", block, row, lane, at+lane)
				}
				seen[at+lane] = true
			}
		}
	}
	if 4*len(seen) != s.Bytes() || s.Bytes()%Align != 0 {
		t.Errorf("%d numbers in %d bytes", len(seen), s.Bytes())
	}
	for _, c := range []struct {
		t              dtype.Type
		rows, channels int
	}{{dtype.BF16, 5, 48}, {dtype.F32, 0, 48}, {dtype.F32, 5, 40}, {dtype.F32, 5, 0}, {dtype.F32, 1 << 20, 48}, {dtype.F32, 5, 1 << 20}, {dtype.F32, -1, 16}} {
		if _, err := NewState(c.t, c.rows, c.channels); err == nil {
			t.Errorf("%+v is no state, but is taken", c)
		}
	}
}
