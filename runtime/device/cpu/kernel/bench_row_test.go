package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"llmc/engine/layout"
)

// BenchmarkRow times operations on one row that stays in the cache, per element.
func BenchmarkRow(b *testing.B) {
	const n = 1536
	r := rand.New(rand.NewPCG(3, 3))
	x, y, w := randomRow(r, n), randomRow(r, n), randomRow(r, n)
	dst, sum := make([]float32, n), make([]float32, n)
	for _, set := range Detect()[1:] {
		run := func(name string, f func()) {
			b.Run(fmt.Sprintf("%s/%s", name, set.Name), func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/element")
			})
		}
		run("rmsnorm", func() { set.RMSNorm(dst, x, w, 1e-5) })
		run("add_rmsnorm", func() { set.AddRMSNorm(sum, dst, x, y, w, 1e-5) })
		run("swiglu", func() { set.SwiGLU(dst, x, y) })
		run("add", func() { set.Add(dst, x, y) })
		run("exp", func() { set.Exp(dst, x) })
		run("argmax", func() { set.ArgMax(x) })
		for _, form := range []string{"bf16", "q8t", "q16t", "q8g", "q16g"} {
			a, err := layout.NewActivation(form, n, 32)
			if err != nil {
				b.Fatal(err)
			}
			row := make([]byte, a.RowBytes())
			run("quantize "+form, func() { set.Quantize(row, a, x) })
		}
	}
}
