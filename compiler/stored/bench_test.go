package stored

import (
	"testing"

	"llmc/internal/quant"
)

// BenchmarkCodes reads a linear of 4096 inputs and 2048 outputs as a build does, 32 outputs at a time.
func BenchmarkCodes(b *testing.B) {
	const rows, cols = 2048, 4096
	for _, c := range []struct {
		name, config string
		parts        map[string]part
	}{
		{"gptq", `{"quant_method":"gptq","bits":4,"group_size":128}`, map[string]part{"x.qweight": {"I32", []int64{cols / 8, rows}, nil}, "x.qzeros": {"I32", []int64{cols / 128, rows / 8}, nil},
			"x.scales": {"F16", []int64{cols / 128, rows}, nil}}},
		{"awq", `{"quant_method":"awq","bits":4,"group_size":128}`, map[string]part{"x.qweight": {"I32", []int64{cols, rows / 8}, nil}, "x.qzeros": {"I32", []int64{cols / 128, rows / 8}, nil},
			"x.scales": {"F16", []int64{cols / 128, rows}, nil}}},
		{"fp8", `{"quant_method":"fp8"}`, map[string]part{"x.weight": {"F8_E4M3", []int64{rows, cols}, nil}, "x.weight_scale": {"F32", []int64{}, nil}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			checkpoint, err := attach(b, c.config, c.parts)
			if err != nil {
				b.Fatal(err)
			}
			m := Of(checkpoint.Lookup("x.weight"))
			var block quant.Block
			b.SetBytes(rows * cols) // weights a second
			for b.Loop() {
				for r := int64(0); r < rows; r += 32 {
					if err := m.ReadCodes(&block, r, r+32); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
