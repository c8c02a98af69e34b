package passes

import (
	"fmt"

	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/ir"
)

// ruleDequantized is the name under which weights are counted whose codes the target has no kernels for.
const ruleDequantized = "stored-as-numbers"

// keepStored gives a weight that the checkpoint has in codes the format that the policy asks for, if that rounds nothing again or is allowed to. By
// default it is that of the codes.
func (c *Context) keepStored(w *ir.Weight, r role) error {
	name, err := c.Options.Policy.storedFormat(w, r)
	if err != nil {
		return err
	}
	if name != "" {
		if err := c.changeStored(w, name); err != nil {
			return fmt.Errorf("weight %%%s: %w", w.Name, err)
		}
	}
	if w.Stored != "" {
		c.storeExactly(w)
	}
	w.Segment = segment(w)
	return nil
}

// changeStored gives the weight another format: one that has the same codes, plain numbers, or, if that is allowed, other codes.
func (c *Context) changeStored(w *ir.Weight, name string) error {
	f, err := FormatFor(c.Options.Target, name)
	if err != nil {
		return err
	}
	if have, err := quant.FindType(w.Type.Quant); err == nil && f.SharesCodes(have) {
		w.Type.Quant = f.Type
		return nil
	}
	if f.Imported() {
		return fmt.Errorf("nothing is rounded to %s, and the checkpoint has other codes (%s); take another format", f.Name, w.Stored)
	}
	if !f.Plain() && !c.Options.Policy.Requantize {
		return fmt.Errorf("the checkpoint has it in codes of its own (%s), and %s would round them again; keep them with --quant auto, or allow it with --requantize", w.Stored, f.Name)
	}
	w.Type.DType, w.Type.Quant, w.Stored = f.DType, f.Type, ""
	return nil
}

// storeExactly makes numbers of codes that the target has no kernels for: of f32, which holds them all, or of bf16 where the target multiplies no f32.
func (c *Context) storeExactly(w *ir.Weight) {
	target := c.Options.Target
	if target == nil {
		return
	}
	if f, err := quant.FindType(w.Type.Quant); err == nil {
		if _, err := target.InputFormat(f); err == nil {
			return
		}
		w.Type.DType, w.Type.Quant = dtype.F32, ""
	}
	for _, op := range c.Module.WeightUses()[w] {
		if matrixOf(op) == w && len(target.Kernels(op)) == 0 {
			w.Type.DType = dtype.BF16
		}
	}
	c.fired(ruleDequantized)
}
