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

// turnedAtOnce is about how many bytes of matrices of a stack are turned together: a variable for tests.
var turnedAtOnce int64 = 256 << 20

// turnAndPack packs a weight whose columns are turned. A row depends on all others of its matrix, so these are held in memory: first read and turned one by one,
// then turned as columns. Of a stack, a few matrices are held at a time.
func (p *packer) turnAndPack(ctx context.Context, threads int, j *packJob) error {
	rows, out := j.weight.Recipe.Unmixed()
	matrix, err := rotation.Find(out)
	if err != nil {
		return err
	}
	window, err := j.turnedWindow(matrix, turnedAtOnce)
	if err != nil {
		return err
	}
	defer func() { j.turned = nil }()
	tasks := []func(*packWorker, *packJob, int64, int64) error{(*packWorker).pack}
	if j.limits != nil {
		tasks = []func(*packWorker, *packJob, int64, int64) error{(*packWorker).measure, (*packWorker).pack}
	}
	for i, task := range tasks {
		for first := int64(0); first < j.rows; first += window {
			last := min(j.rows, first+window)
			if i == 0 || window < j.rows {
				if err := p.turn(ctx, threads, j, rows, matrix, first, last); err != nil {
					return err
				}
			}
			if err := p.spread(ctx, threads, j.piecesOfRows(first, last), task); err != nil {
				return err
			}
		}
	}
	return nil
}

// turnedWindow is how many rows of the weight to hold at a time: all, or whole matrices of a stack of about so many bytes together.
func (j *packJob) turnedWindow(matrix *rotation.Rotation, bytes int64) (int64, error) {
	own := j.rows
	if w := j.weight; w.Type.Rank() > 2 && j.packed != nil {
		if n, ok := w.Type.Dims[1].IsConst(); ok && n > 0 && n%int64(matrix.Block) == 0 {
			own = n
		}
	}
	size := 4 * own * j.cols
	if size > maxTurned {
		return 0, fmt.Errorf("weight %q: turning it takes %d MiB, at most %d: build with --rotate none", j.weight.Name, size>>20, maxTurned>>20)
	}
	return min(j.rows, own*max(1, bytes/size)), nil
}

// piecesOfRows cuts the panels of rows [first, last) into pieces; in a stack each matrix begins with a panel.
func (j *packJob) piecesOfRows(first, last int64) []piece {
	lo := int64(0)
	for lo < j.panels {
		if from, _ := j.rowRange(lo); from >= first {
			break
		}
		lo++
	}
	var all []piece
	for lo < j.panels {
		if from, _ := j.rowRange(lo); from >= last {
			break
		}
		hi := lo
		for ; hi < min(j.panels, lo+piecePanels); hi++ {
			if from, _ := j.rowRange(hi); from >= last {
				break
			}
		}
		all = append(all, piece{j, lo, hi})
		lo = hi
	}
	return all
}

// turn holds rows [first, last) of the weight, turned; rows gives them before their columns are.
func (p *packer) turn(ctx context.Context, threads int, j *packJob, rows *ir.Recipe, matrix *rotation.Rotation, first, last int64) error {
	p.whole = grow(p.whole, int((last-first)*j.cols))
	turned := p.whole
	read := func(_ *packWorker, j *packJob, lo, hi int64) error {
		return models.ReadRows(p.checkpoint, rows, turned[lo*j.cols:hi*j.cols], j.weight.Type.Rank(), first+lo, first+hi)
	}
	if err := p.spread(ctx, threads, j.pieces(last-first, rowsAtOnce), read); err != nil {
		return err
	}
	turn := func(_ *packWorker, j *packJob, lo, hi int64) error {
		matrix.Columns(turned, int(j.cols), int(lo), int(hi))
		return nil
	}
	j.turned, j.turnedFrom = turned, first
	return p.spread(ctx, threads, j.pieces(j.cols, turnColumns), turn)
}
