//go:build !amd64

package dense

const hasKernel = false

func tile(c, a, b Matrix, k int) { addPlain(c, a, b, tileRows, tileCols, k) }
