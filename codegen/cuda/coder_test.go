package cuda

import (
	"strings"
	"testing"

	"llmc/codegen/ptx"
	"llmc/engine"
)

// TestErrorsTellWhere wants a mistake in a kernel to be reported with its place, though kernels are written without noting places.
func TestErrorsTellWhere(t *testing.T) {
	c := NewCoder(Target{PTX: ptx.SM80})
	wrong := variant{family: family{
		threads: 32,
		grid:    func(*entry) [3]engine.Extent { return grid() },
		build:   func(e *entry) { e.Add(e.Reg(ptx.U32), 1) },
	}}
	c.write(entry{launch: &engine.Launch{Kernel: "cuda.wrong"}, kernel: &engine.Kernel{}}, wrong, "wrong")
	_, err := c.Text()
	if err == nil || !strings.Contains(err.Error(), "(coder_test.go:17)") {
		t.Fatalf("got %v, wanted line 17 of this file", err)
	}
}
