package cuda_test

import (
	"fmt"
	"testing"

	"llmc/engine"
	"llmc/internal/dtype"
)

// TestSoft wants rows that a step brings where activations lie: rows that fill a CTA's threads, and that do not.
func TestSoft(t *testing.T) {
	for i, columns := range []int{1, 67, 588} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			const rows = 5
			s := newSingle(t, "cuda.soft", "soft")
			s.program.Buffers = make([]engine.Buffer, 0, 1)
			s.buffer("y", dtype.F32, columns)
			s.inputs("soft")
			s.write([]string{"sm80", "sm89", "sm90"}[i])
			m := newMemory(t)
			y, brought := m.matrix(&s.program.Buffers[0], rows), randoms(rows*columns, 7, 1)
			m.floats("soft", brought)
			s.run(m, rows, 1, 16, 0)
			for j, want := range brought {
				if got := y.at(j/columns, j%columns); got != want {
					t.Fatalf("row %d column %d: %v, want %v", j/columns, j%columns, got, want)
				}
			}
		})
	}
}
