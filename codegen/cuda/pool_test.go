package cuda_test

import (
	"fmt"
	"math"
	"testing"

	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// pooled runs the kernel over sequences of so many rows of random numbers, which depend on the sequence's seed alone, and returns these and the results.
func pooled(t *testing.T, s *single, columns int, lengths []int, seeds []uint64) (rows [][]float32, y [][]float32) {
	t.Helper()
	m := newMemory(t)
	tokens, starts := 0, []int32{0}
	for _, n := range lengths {
		tokens += n
		starts = append(starts, int32(tokens))
	}
	x, out := m.matrix(&s.program.Buffers[0], tokens), m.matrix(&s.program.Buffers[1], len(lengths))
	for b, n := range lengths {
		rows = append(rows, randoms(n*columns, seeds[b], 1))
		for i, v := range rows[b] {
			x.set(int(starts[b])+i/columns, i%columns, v)
		}
	}
	m.ints("seq_start", starts)
	s.run(m, tokens, len(lengths), 16, 0)
	for b := range lengths {
		y = append(y, nil)
		for c := range columns {
			y[b] = append(y[b], out.at(b, c))
		}
	}
	return rows, y
}

// TestPool compares rows of sequences with plain arithmetic, and wants the same bits of a sequence among others.
func TestPool(t *testing.T) {
	for i, mode := range []string{"mean", "first", "last"} {
		for _, columns := range []int{1, 48, 64, 131} {
			t.Run(fmt.Sprintf("%s/%d", mode, columns), func(t *testing.T) {
				s := newSingle(t, "cuda.pool", "pool", engine.Attr{Name: "mode", Text: mode})
				s.program.Buffers = make([]engine.Buffer, 0, 2)
				s.buffer("x", dtype.F32, columns)
				s.buffer("y", dtype.F32, columns).Rows = sym.Of(sym.B)
				s.inputs("seq_start")
				s.write([]string{"sm80", "sm89", "sm90"}[i])
				lengths, seeds := []int{1, 7, 8, 30, 9}, []uint64{1, 2, 3, 4, 5}
				rows, y := pooled(t, s, columns, lengths, seeds)
				for b, n := range lengths {
					for c, got := range y[b] {
						want, most := 0.0, 0.0
						for r := range n {
							v := float64(rows[b][r*columns+c])
							want, most = want+v/float64(n), math.Max(most, math.Abs(v))
						}
						switch mode {
						case "first":
							want = float64(rows[b][c])
						case "last":
							want = float64(rows[b][(n-1)*columns+c])
						}
						if d := math.Abs(float64(got) - want); mode != "mean" && d != 0 || !(d <= 1e-6*most) {
							t.Fatalf("sequence %d column %d: %v, want %v", b, c, got, want)
						}
					}
				}
				_, again := pooled(t, s, columns, []int{3, 30}, []uint64{6, 4})
				for c, v := range again[1] {
					if v != y[3][c] {
						t.Fatalf("column %d is %v among others, and %v", c, v, y[3][c])
					}
				}
			})
		}
	}
}
