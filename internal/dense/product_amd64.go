package dense

import "golang.org/x/sys/cpu"

var hasKernel = cpu.X86.HasAVX2

//go:noescape
func tileAVX2(c, a, b *float32, strideC, strideA, strideB, k int)

// tile is addPlain of tileRows rows and tileCols columns.
func tile(c, a, b Matrix, k int) {
	_, _ = c.Data[(tileRows-1)*c.Stride+tileCols-1], b.Data[(k-1)*b.Stride+tileCols-1]
	_ = a.Data[(k-1)*a.Stride+tileRows-1]
	tileAVX2(&c.Data[0], &a.Data[0], &b.Data[0], 4*c.Stride, 4*a.Stride, 4*b.Stride, k)
}
