//go:build !amd64

package quant

func vectorSpans([]float32, []float32, []float32) (groups int) { return 0 }

func vectorNested([]float32, []float32, []float32, float32, []uint8, []uint8, []uint8) (groups int) {
	return 0
}

func vectorNumbers([]float32, []uint8, []uint8, []uint8, float32) (groups int) { return 0 }
