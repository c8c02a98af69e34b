package cuda_test

import (
	"os"
	"testing"

	"llmc/codegen/cuda"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/internal/sym"
)

func TestX(t *testing.T) {
	for _, target := range []string{"sm80", "sm90"} {
		row, err := engine.FindTarget(target)
		check(t, err)
		gpu, err := cuda.NewTarget(row)
		check(t, err)
		coder := cuda.NewCoder(gpu)
		p := &engine.Program{Slots: []sym.Dim{sym.Of(sym.R).Scale(40960)}, Buffers: []engine.Buffer{{Name: "logits", Rows: sym.Of(sym.R), Cols: 10001, Stride: 40064, DType: dtype.F32}}}
		check(t, coder.Finish(p))
		text, err := coder.Text()
		check(t, err)
		t.Log(len(text)); os.WriteFile("/var/tmp/s_"+target+".ptx", []byte(text), 0o644)
		t.Log(assembled(t, text, gpu.PTX.Name))
	}
}
