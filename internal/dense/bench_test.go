package dense

import (
	"fmt"
	"testing"
)

// BenchmarkAddTransposed reports billions of multiplications and additions a second, of products as a build has them.
func BenchmarkAddTransposed(b *testing.B) {
	for _, shape := range [][3]int{{32, 512, 576}, {32, 576, 512}, {32, 576, 1536}, {32, 1536, 512}, {576, 576, 512}} {
		rows, cols, k := shape[0], shape[1], shape[2]
		const wide = 1536
		b.Run(fmt.Sprint(shape), func(b *testing.B) {
			c := Matrix{make([]float32, rows*wide), wide}
			x := Matrix{make([]float32, k*wide), wide}
			y := Matrix{make([]float32, k*wide), wide}
			for b.Loop() {
				AddTransposed(c, x, y, rows, cols, k)
			}
			b.ReportMetric(2*float64(rows*cols*k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
