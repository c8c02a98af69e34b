package stored

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"llmc/compiler/hf"
	"llmc/internal/quant"
)

// fuzzed are the configs and the parts that fuzzing begins with.
var fuzzed = []struct{ config, parts string }{
	{gptq4, "gptq"},
	{`{"quant_method":"gptq","bits":8,"group_size":-1,"checkpoint_format":"gptq_v2"}`, "gptq"},
	{`{"quant_method":"gptq","bits":8,"group_size":32}`, "gptq"},
	{awq4, "awq"},
	{`{"quant_method":"fp8"}`, "fp8"},
	{`{"quant_method":"fp8","weight_block_size":[128,128]}`, "fp8"},
	{fmt.Sprintf(ct, "int-quantized", "int", 8, "channel", false), "int8"},
	{fmt.Sprintf(ct, "int-quantized", "int", 8, "tensor", true), "int8"},
	{fmt.Sprintf(ct, "pack-quantized", "int", 4, "group", false), "packed"},
	{fmt.Sprintf(ct, "pack-quantized", "int", 8, "channel", true), "packed"},
	{bnb8, "bnb8"},
	{nf4, "nf4"},
	{`{"quant_method":"mxfp4"}`, "mxfp4"},
	{modelOpt, "nvfp4"},
	{`{"quant_method":"modelopt","quant_algo":"FP8"}`, "fp8"},
	{fmt.Sprintf(ct4, "nvfp4-pack-quantized", "tensor_group", 16), "ct-nvfp4"},
	{fmt.Sprintf(ct4, "mxfp4-pack-quantized", "group", 32), "ct-mxfp4"},
}

// FuzzAttach changes shapes and bytes of the parts of a linear: what comes of it is a typed error, or a matrix whose rows can all be read and whose codes
// stand for its numbers.
func FuzzAttach(f *testing.F) {
	for i := range fuzzed {
		f.Add(uint8(i), []byte{}, []byte{0x11, 0x38, 0x22, 0x3c})
		f.Add(uint8(i), []byte{0, 1}, []byte{0xff, 0x7f})
		f.Add(uint8(i), []byte{3, 0, 3}, []byte{})
	}
	f.Fuzz(func(t *testing.T, method uint8, shapes, data []byte) {
		row := fuzzed[int(method)%len(fuzzed)]
		parts := small(row.parts)
		for _, name := range slices.Sorted(maps.Keys(parts)) {
			p := parts[name]
			for i := range p.shape {
				if len(shapes) > 0 {
					p.shape[i] = max(0, p.shape[i]+int64(int8(shapes[0]))%80)
					shapes = shapes[1:]
				}
			}
			if p.data == nil && len(data) > 0 {
				p.data = slices.Repeat(data, int(p.size())/len(data)+1)
				data = append(data[1:], data[0])
			}
			parts[name] = p
		}
		c, err := attach(t, row.config, parts)
		if err == nil {
			err = readAll(t, c)
		}
		if e := (*hf.Error)(nil); err != nil && !errors.As(err, &e) {
			t.Fatalf("untyped error %v", err)
		}
	})
}

// readAll reads every matrix of a checkpoint.
func readAll(t *testing.T, c *hf.Checkpoint) error {
	for _, name := range c.Names() {
		x := c.Lookup(name)
		m := Of(x)
		if m == nil {
			continue
		}
		cols := x.Shape[len(x.Shape)-1]
		numbers := make([]float32, x.Elements())
		if err := m.ReadRows(numbers, 0); err != nil {
			return err
		}
		if m.Digits != nil {
			sameSums(t, name, m.Digits, numbers, cols)
		}
		for _, from := range m.Order {
			if int64(from) >= cols || from < 0 {
				t.Errorf("%s: column %d of %d", name, from, cols)
			}
		}
		if m.Format == nil {
			continue
		}
		var b quant.Block
		if err := m.ReadCodes(&b, 0, x.Elements()/cols); err != nil {
			return err
		}
		back := make([]float32, len(numbers))
		if m.Format.Dequantize(back, &b); !slices.Equal(back, numbers) {
			t.Errorf("%s: codes of %s stand for other numbers", name, m.Format.Name)
		}
	}
	return nil
}

// sameSums wants the two digits of every number of a matrix to add up to it.
func sameSums(t *testing.T, name string, d *Matrix, numbers []float32, cols int64) {
	both := make([]float32, 2*len(numbers))
	if err := d.ReadRows(both, 0); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	for i := range int64(len(numbers)) {
		r, k := i/cols, i%cols
		upper, lower, want := both[2*r*cols+k], both[(2*r+1)*cols+k], numbers[r*cols+int64(d.Order[k])]
		if d.Order[k] != d.Order[cols+k] || upper+lower != want {
			t.Fatalf("%s: digits of [%d,%d] are %g and %g, want %g", name, r, d.Order[k], upper, lower, want)
		}
	}
}
