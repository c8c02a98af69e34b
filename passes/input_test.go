package passes

import (
	"fmt"
	"strings"
	"testing"

	"llmc/internal/quant"
	"llmc/ir"
)

// inputsOf is a target whose kernels take inputs of one format, or none where it is empty.
type inputsOf struct {
	Plain
	format string
}

func (t inputsOf) InputFormat(f *quant.Format) (string, error) {
	if t.format == "" {
		return "", fmt.Errorf("no kernel reads %s", f.Name)
	}
	return t.format, nil
}

// A target may want codes as inputs, or numbers of bf16, or have no kernel for a format; no other inputs are defined.
func TestTargetsChooseInputs(t *testing.T) {
	for format, want := range map[string]string{
		"e4m3t": `%y = linear %x.e4m3t, %w`, "bf16": `%y = linear %x.bf16, %w`,
		"": "pass quantize: weight %w: no kernel reads fp8", "q16t": "pass quantize: weight %w: target plain multiplies fp8 with inputs of q16t, which are not defined",
	} {
		m := parse(t, `
weight %w : bf16[8,64]
func @f(%x: f32[T,64]) -> (f32[T,8]) {
  %y = linear %x, %w : f32[T,8]
  return %y
}`)
		_, err := RunOne("quantize", m, Options{Target: inputsOf{format: format}, Policy: Policy{Linear: "fp8"}, Check: true})
		got := ir.Print(m)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("inputs of %q: %s, want %s", format, got, want)
		}
	}
}
