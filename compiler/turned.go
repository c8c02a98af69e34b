package compiler

import (
	"context"
	"fmt"

	"llmc/compiler/models"
	"llmc/internal/rotation"
	"llmc/ir"
)

// maxTurned bounds the memory for the rows of a weight whose columns are turned, in bytes: more than the largest matrix of a model of 70 billion
// parameters takes, and with it a build stays below 2 GB.
const maxTurned = 1200 << 20

// turnColumns is how many columns a worker turns at a time: the rows of a block stay in the second-level cache.
const turnColumns = 64

// mixesRows tells whether a row of the weight depends on more rows than a worker reads at a time.
func (j *packJob) mixesRows() (bool, error) {
	_, out := j.weight.Recipe.Unmixed()
	if out == "" {
		return false, nil
	}
	matrix, err := rotation.Find(out)
	if err != nil {
		return false, fmt.Errorf("weight %q: %w", j.weight.Name, err)
	}
	return matrix.Block > rowsAtOnce*piecePanels, nil
}

// turnAndPack packs a weight whose columns are turned. Each row depends on all, so they are held in memory: first read and turned one by one, then
// turned as columns.
func (p *packer) turnAndPack(ctx context.Context, threads int, j *packJob) error {
	if bytes := 4 * j.rows * j.cols; bytes > maxTurned {
		return fmt.Errorf("weight %q: turning it takes %d MiB, at most %d: build with --rotate none", j.weight.Name, bytes>>20, maxTurned>>20)
	}
	rows, out := j.weight.Recipe.Unmixed()
	matrix, err := rotation.Find(out)
	if err != nil {
		return err
	}
	p.whole = grow(p.whole, int(j.rows*j.cols))
	turned := p.whole
	read := func(_ *packWorker, j *packJob, first, last int64) error {
		return p.readInto(turned, j, rows, first, last)
	}
	if err := p.spread(ctx, threads, j.pieces(j.rows, rowsAtOnce), read); err != nil {
		return err
	}
	turn := func(_ *packWorker, j *packJob, first, last int64) error {
		matrix.Columns(turned, int(j.cols), int(first), int(last))
		return nil
	}
	if err := p.spread(ctx, threads, j.pieces(j.cols, turnColumns), turn); err != nil {
		return err
	}
	j.turned = turned
	defer func() { j.turned = nil }()
	return p.measureAndPack(ctx, threads, []*packJob{j})
}

// readInto reads rows [first, last) of a recipe to their place among all.
func (p *packer) readInto(all []float32, j *packJob, rows *ir.Recipe, first, last int64) error {
	return models.ReadRows(p.checkpoint, rows, all[first*j.cols:last*j.cols], j.weight.Type.Rank(), first, last)
}
