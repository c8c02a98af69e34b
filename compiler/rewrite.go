package compiler

import (
	"context"
	"errors"
	"sync"

	"llmc/compiler/calib"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/internal/quant"
	"llmc/ir"
)

// alteredWeight is a weight that becomes what its codes stand for.
type alteredWeight struct {
	*sequence
	entry   *engine.WeightEntry
	recipe  *ir.Recipe
	format  *quant.Format
	rounder *calib.Rounder
}

func (a *alteredWeight) run(ctx context.Context) error {
	return a.build.rewrite(ctx, a.plan, a.entry, a.recipe, func() func(rows []float32, lo, hi int64) error {
		var scratch calib.Scratch
		var block quant.Block
		return func(rows []float32, lo, hi int64) error {
			if _, err := a.rounder.Round(&block, rows, &scratch); err != nil {
				return err
			}
			a.format.Dequantize(rows, &block)
			return a.codes.keep(sourceRows{a.format, a.recipe, a.entry.K(), lo, hi}, &block, scratch.Losses())
		}
	})
}

// rewrite puts other numbers in the place of those of a weight in f32: alter, of which each worker has its own, is given the checkpoint's rows [lo, hi) and changes them. All who run the plan see it.
func (b *build) rewrite(ctx context.Context, plan *engine.Plan, entry *engine.WeightEntry, recipe *ir.Recipe, alter func() func(rows []float32, lo, hi int64) error) error {
	packed, err := entry.Packed()
	if err != nil {
		return err
	}
	panels := make(chan int)
	errs := make([]error, b.Threads)
	var all sync.WaitGroup
	for n := range errs {
		all.Go(func() {
			rows, out, alter := []float32(nil), make([]byte, packed.PanelBytes()), alter()
			for panel := range panels {
				if errs[n] != nil || ctx.Err() != nil {
					continue
				}
				lo, hi := packed.Rows(panel)
				rows = grow(rows, (hi-lo)*int(entry.K()))
				if errs[n] = models.ReadRows(b.checkpoint, recipe, rows, len(entry.Shape), int64(lo), int64(hi)); errs[n] == nil {
					errs[n] = alter(rows, int64(lo), int64(hi))
				}
				if errs[n] == nil {
					errs[n] = packed.PackFloats(out, rows)
				}
				if errs[n] == nil {
					errs[n] = plan.OverwriteWeight(entry, out, int64(panel)*int64(packed.PanelBytes()))
				}
			}
		})
	}
	for panel := range packed.Panels() {
		panels <- panel
	}
	close(panels)
	all.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}
