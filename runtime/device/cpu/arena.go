package cpu

import (
	"fmt"
	"unsafe"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/sym"
	"llmc/runtime/device/cpu/kernel"
)

// view is a matrix of activations in the arena, as many rows as the launch settings allow.
type view struct {
	data   []byte // row i starts at i*stride
	rows   int
	cols   int
	stride int    // bytes
	format string // activation format, "" for plain f32
	group  int
}

// f32 returns the view's rows as numbers that are v.ld() apart.
func (v view) f32() []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(v.data))), len(v.data)/4)
}

// i32 returns a view of indices, which lie as one array.
func (v view) i32() []int32 {
	return unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(v.data))), v.rows*v.cols)
}

// span returns columns [from, to) of plain rows.
func (v view) span(from, to int) view {
	size := 4
	if v.format == "bf16" {
		size = 2
	}
	v.data, v.cols = v.data[from*size:], to-from
	return v
}

// ld is the distance between rows of a plain f32 view, in numbers.
func (v view) ld() int { return v.stride / 4 }

// row returns row i of a plain f32 view.
func (v view) row(i int) []float32 { return v.f32()[i*v.ld():][:v.cols] }

// input returns the view as the input of a linear.
func (v view) input() (kernel.Rows, error) {
	format := v.format
	if format == "" {
		format = "f32"
	}
	a, err := layout.NewActivation(format, v.cols, v.group)
	return kernel.Rows{Activation: a, Data: v.data, Stride: v.stride}, err
}

// newArena lays out the slots of p at the sizes of env and returns a view of every buffer. Plan validation has made sure
// that every buffer lies inside its slot.
func newArena(p *engine.Program, env sym.Env) (region, []view, error) {
	offsets := make([]int64, len(p.Slots)+1)
	for i, size := range p.Slots {
		n, err := size.Eval(env)
		if err != nil {
			return nil, nil, fmt.Errorf("program %s: slot %d: %w", p.Func, i, err)
		}
		offsets[i+1] = offsets[i] + (n+layout.Align-1)/layout.Align*layout.Align
	}
	mem, err := newRegion(offsets[len(p.Slots)]+layout.Align, "activations")
	if err != nil {
		return nil, nil, err
	}
	views := make([]view, len(p.Buffers))
	for i, b := range p.Buffers {
		rows, err := b.Rows.Eval(env)
		if err != nil {
			return nil, nil, fmt.Errorf("program %s: buffer %s: %w", p.Func, b.Name, err)
		}
		start, end := offsets[b.Slot]+b.Offset, offsets[b.Slot+1]
		if start > end || rows > 0 && start+(rows-1)*b.Stride > end {
			return nil, nil, fmt.Errorf("program %s: buffer %s lies outside its slot", p.Func, b.Name)
		}
		format := b.Format
		if b.DType == dtype.BF16 {
			format = "bf16"
		}
		views[i] = view{data: mem[start:end:end], rows: int(rows), cols: int(b.Cols), stride: int(b.Stride), format: format, group: int(b.Group)}
	}
	return mem, views, nil
}
