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

// TestInsert wants rows that a step brings where their type says so, and those of tokens elsewhere. What the others would be is not there to be read.
func TestInsert(t *testing.T) {
	for i, columns := range []int{1, 67, 588} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			types := []int32{0, 1, 1, 2, 0, 1}
			s := newSingle(t, "cuda.insert", "insert")
			s.program.Buffers = make([]engine.Buffer, 0, 2)
			s.buffer("x", dtype.F32, columns)
			s.buffer("y", dtype.F32, columns)
			s.inputs("soft", "types")
			s.write([]string{"sm80", "sm89", "sm90"}[i])
			m := newMemory(t)
			x, y := m.matrix(&s.program.Buffers[0], len(types)), m.matrix(&s.program.Buffers[1], len(types))
			brought, tokens := randoms(len(types)*columns, 7, 1), randoms(len(types)*columns, 8, 1)
			m.floats("soft", brought)
			m.ints("types", types)
			for j, v := range tokens {
				x.set(j/columns, j%columns, v)
			}
			s.run(m, len(types), 1, 16, 0)
			for j := range tokens {
				want := tokens[j]
				if types[j/columns] == 1 {
					want = brought[j]
				}
				if got := y.at(j/columns, j%columns); got != want {
					t.Fatalf("row %d column %d: %v, want %v", j/columns, j%columns, got, want)
				}
			}
		})
	}
}
