package compiler

import (
	"context"
	"errors"
	"fmt"

	"llmc/engine"
	"llmc/internal/cubin"
)

// findAssembler looks for ptxas before anything else is done, where cubins are asked for.
func (b *build) findAssembler() error {
	if !b.Cubin {
		return nil
	}
	gpu := false
	for _, t := range b.targets {
		gpu = gpu || t.Device == "cuda"
	}
	if !gpu {
		return errors.New("cubins are code for GPUs, and no target is one: give --arch sm80 or another")
	}
	var err error
	b.assemblers, err = cubin.Find(b.PTXAS)
	return err
}

// assemble makes the cubin of a target.
func (b *build) assemble(ctx context.Context, target, text string) (engine.Content, error) {
	a, err := cubin.Choose(b.assemblers, text)
	if err != nil {
		return engine.Content{}, fmt.Errorf("target %s: %w", target, err)
	}
	image, arch, err := a.Assemble(ctx, text)
	if err != nil {
		return engine.Content{}, fmt.Errorf("target %s: %w", target, err)
	}
	return engine.CubinContent(target, &engine.Cubin{Arch: arch, Assembler: a.Build, PTX: engine.SumPTX(text), Image: image})
}

// code makes the sections of a target's kernels: their text and, where asked for, what it assembles to.
func (b *build) code(ctx context.Context, l *lowered) ([]engine.Content, error) {
	if l.ptx == "" {
		return nil, nil
	}
	contents := []engine.Content{{Kind: engine.KindPTX, Name: l.target, Data: []byte(l.ptx)}}
	if !b.Cubin {
		return contents, nil
	}
	task := b.Progress.Start("assembling "+l.target, 1)
	c, err := b.assemble(ctx, l.target, l.ptx)
	task.Done()
	return append(contents, c), err
}
