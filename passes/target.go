package passes

import (
	"fmt"

	"llmc/internal/quant"
	"llmc/ir"
)

// Target answers what passes must know of the machine that a program is built for.
type Target interface {
	Name() string
	// Kernels lists the kernels that can run op with the types that its operands and results have.
	Kernels(op *ir.Op) []Kernel
	// Layout names the order of bytes in which the kernels of readers read w, "" for row-major.
	Layout(w *ir.Weight, readers []*ir.Op) (string, error)
	// InputFormat names what weights stored in a format of codes are multiplied with: the format's own activations, or bf16 where kernels
	// turn the codes into numbers. It is an error where no kernel reads the format.
	InputFormat(f *quant.Format) (string, error)
	// GateBlock is how many rows of gate and up alternate in the weight of a linear_swiglu.
	GateBlock() int64
	// JoinsCaches tells that keys and values of a joint projection are best written by rope_kv, also those that do not turn.
	JoinsCaches() bool
	// RowBytes is the distance in bytes between rows of an activation of type t.
	RowBytes(t ir.Type) (int64, error)
}

// Kernel is one way to run an op.
type Kernel struct {
	Name string
	Cost float64 // estimated, in any unit that is the same for all kernels of the target; the lowest wins
}

// Plain is a target without formats of its own: a kernel for each op, called as the op is, row-major weights and
// activations as dense as their types. It serves tests and `llmc opt` without a target.
type Plain struct{}

// Name implements Target.
func (Plain) Name() string { return "plain" }

// Kernels implements Target.
func (Plain) Kernels(op *ir.Op) []Kernel { return []Kernel{{Name: op.Kind.Name, Cost: 1}} }

// Layout implements Target.
func (Plain) Layout(w *ir.Weight, readers []*ir.Op) (string, error) {
	for _, op := range readers {
		if matrixOf(op) == w {
			return "rows", nil
		}
	}
	return "", nil
}

// InputFormat implements Target.
func (Plain) InputFormat(f *quant.Format) (string, error) { return f.Activation, nil }

// GateBlock implements Target.
func (Plain) GateBlock() int64 { return 32 }

// JoinsCaches implements Target.
func (Plain) JoinsCaches() bool { return false }

// RowBytes implements Target. Codes take a byte; scales and sums are not stored.
func (Plain) RowBytes(t ir.Type) (int64, error) {
	cols, ok := t.Cols()
	if !ok || t.DType.Size() == 0 {
		return 0, fmt.Errorf("no row size for %v", t)
	}
	return alignUp(cols*int64(t.DType.Size()), 64), nil
}

func alignUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
