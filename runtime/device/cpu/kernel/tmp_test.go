package kernel

import (
	"fmt"
	"testing"
	"unsafe"
)

func BenchmarkTmpScore(b *testing.B) {
	set := Detect()[len(Detect())-1]
	for _, kind := range []int{kvF32, kvBF16} {
		for _, rows := range []int{1, 3, 4, 6, 8, 12} {
			for _, npan := range []int{2, 4, 16} {
				for _, steps := range []int{32, 64, 128} {
					q := aligned[byte](12 * 4 * 256)
					k := aligned[byte](16 * 64 * 256)
					out := aligned[float32](12 * 256)
					a := &scoreArgs{q: unsafe.Pointer(&q[0]), qStride: 4 * steps, k: unsafe.Pointer(&k[0]), panels: npan, out: unsafe.Pointer(&out[0]), outStride: 1024, steps: steps}
					f := set.attend[kind].score[rows]
					b.Run(fmt.Sprintf("k%d/r%d/p%d/s%d", kind, rows, npan, steps), func(b *testing.B) {
						for b.Loop() {
							f(a)
						}
						n := float64(rows * npan * steps)
						b.ReportMetric(float64(b.Elapsed().Nanoseconds())*3.65/float64(b.N)/n, "cyc/dp")
					})
				}
			}
		}
	}
}
