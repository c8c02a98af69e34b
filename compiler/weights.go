package compiler

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"sync"

	"llmc/compiler/buildcache"
	"llmc/compiler/calib"
	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/cli"
	"llmc/internal/quant"
	"llmc/ir"
)

// packer streams weights from a checkpoint into a plan. Its memory is a few panels for each worker, whatever the model's size.
type packer struct {
	checkpoint *hf.Checkpoint
	hashing    *hashing // of the checkpoint, which workers wait for; nil: there is none
	writer     *engine.Writer
	jobs       []*packJob
	task       *cli.Task
	calibrated *calibrated                   // nil: codes are the nearest ones
	donors     map[*packJob]buildcache.Donor // weights that earlier builds have packed
	whole      []float32                     // all rows of the weight whose columns are being turned
}

// packJob is one weight on its way into the plan.
type packJob struct {
	weight  *ir.Weight
	index   int // in the plan's table of weights
	cols    int64
	rows    int64
	panels  int64
	packed  layout.Packed // nil for row-major weights
	format  *quant.Format // nil unless codes are made
	limits  *quant.Limits // nil unless rows share scales
	merging sync.Mutex    // of limits
	loss    []panelLoss   // of each panel, where codes are made
	chosen  chosenCodes
	repeats bool      // an earlier weight holds the same codes in another order
	turned  []float32 // rows from turnedFrom on, while a weight whose columns are turned is packed

	turnedFrom int64
}

// rowsAtOnce is how many rows of a row-major weight are read at a time.
const rowsAtOnce = 32

// piecePanels is how many panels a worker takes at a time.
const piecePanels = 8

func newPackJob(w *ir.Weight, index int) (*packJob, error) {
	rows, cols, ok := w.Type.Matrix()
	if !ok {
		return nil, fmt.Errorf("weight %q: type %v has no fixed size", w.Name, w.Type)
	}
	j := &packJob{weight: w, index: index, rows: rows, cols: cols, panels: (rows + rowsAtOnce - 1) / rowsAtOnce}
	if w.Type.Layout == "" {
		return j, nil
	}
	var err error
	if j.packed, err = packedLayout(w); err != nil {
		return nil, fmt.Errorf("weight %q: %w", w.Name, err)
	}
	j.panels = int64(j.packed.Panels())
	if w.Type.Quant != "" {
		if j.format, err = quant.FindType(w.Type.Quant); err != nil {
			return nil, fmt.Errorf("weight %q: %w", w.Name, err)
		}
		j.loss = make([]panelLoss, j.panels)
		if w.Stored == "" {
			j.limits = j.format.NewLimits(int(rows), int(cols))
		}
	}
	return j, nil
}

// packedLayout describes the layout that passes chose for a weight.
func packedLayout(w *ir.Weight) (layout.Packed, error) {
	e := engine.WeightEntry{Layout: w.Type.Layout, Segment: w.Segment}
	for _, d := range w.Type.Dims {
		n, _ := d.IsConst()
		e.Shape = append(e.Shape, n)
	}
	return e.Packed()
}

// rowRange returns the rows of a panel, of row-major weights as many as are read at a time.
func (j *packJob) rowRange(panel int64) (lo, hi int64) {
	if j.packed == nil {
		return panel * rowsAtOnce, min(j.rows, (panel+1)*rowsAtOnce)
	}
	from, to := j.packed.Rows(int(panel))
	return int64(from), int64(to)
}

// entry describes the weight for the plan's table.
func (j *packJob) entry() engine.WeightEntry {
	w := j.weight
	e := engine.WeightEntry{Name: w.Name, Segment: w.Segment, Recipe: w.Recipe.String()}
	for _, d := range w.Type.Dims {
		n, _ := d.IsConst()
		e.Shape = append(e.Shape, n)
	}
	if j.packed == nil {
		e.DType, e.Bytes, e.Segment = "f32", 4*j.rows*j.cols, 0
		return e
	}
	e.Layout, e.Format, e.Bytes = w.Type.Layout, w.Type.DType.String(), int64(j.packed.Bytes())
	if j.format != nil {
		e.Format = j.format.Name
	}
	return e
}

// run packs all weights with the given number of workers. The bytes do not depend on it: a panel's depend on its rows alone, or on the largest
// numbers of all rows, which are found first.
func (p *packer) run(ctx context.Context, threads int) error {
	jobs, err := p.copyKept(ctx, threads)
	if err != nil {
		return err
	}
	var apart, mixed []*packJob
	for _, j := range jobs {
		if mixes, err := j.mixesRows(); err != nil {
			return err
		} else if mixes {
			mixed = append(mixed, j)
		} else {
			apart = append(apart, j)
		}
	}
	if err := p.measureAndPack(ctx, threads, apart); err != nil {
		return err
	}
	for _, j := range mixed {
		if err := p.turnAndPack(ctx, threads, j); err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) measureAndPack(ctx context.Context, threads int, jobs []*packJob) error {
	var shared []piece
	for _, j := range jobs {
		if j.limits != nil {
			shared = append(shared, j.pieces(j.panels, piecePanels)...)
		}
	}
	if err := p.spread(ctx, threads, shared, (*packWorker).measure); err != nil {
		return err
	}
	var all []piece
	for _, j := range jobs {
		all = append(all, j.pieces(j.panels, piecePanels)...)
	}
	return p.spread(ctx, threads, all, (*packWorker).pack)
}

// piece is what a worker takes at a time of a weight: panels, rows or columns [first, last).
type piece struct {
	job         *packJob
	first, last int64
}

// pieces cuts n of a weight's panels or columns into pieces.
func (j *packJob) pieces(n, size int64) []piece {
	var all []piece
	for first := int64(0); first < n; first += size {
		all = append(all, piece{j, first, min(n, first+size)})
	}
	return all
}

// spread lets workers take pieces in any order.
func (p *packer) spread(ctx context.Context, threads int, all []piece, do func(w *packWorker, j *packJob, first, last int64) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pieces := make(chan piece)
	var workers sync.WaitGroup
	for n := range max(1, threads) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			p.hashing.wait(n)
			w := packWorker{packer: p}
			for piece := range pieces {
				if ctx.Err() != nil {
					continue
				}
				if err := do(&w, piece.job, piece.first, piece.last); err != nil {
					cancel(fmt.Errorf("weight %q: %w", piece.job.weight.Name, err))
				}
			}
		}()
	}
	for _, piece := range all {
		pieces <- piece
	}
	close(pieces)
	workers.Wait()
	return context.Cause(ctx)
}

// packWorker holds one worker's buffers.
type packWorker struct {
	*packer
	rows  []float32 // [rows of a panel, cols]
	back  []float32 // what the codes stand for
	block quant.Block
	out   []byte

	scratch calib.Scratch
}

// measure takes panels [first, last) of a weight into its limits.
func (w *packWorker) measure(j *packJob, first, last int64) error {
	limits := j.format.NewLimits(int(j.rows), int(j.cols))
	for panel := first; panel < last; panel++ {
		lo, err := w.read(j, panel)
		if err != nil {
			return err
		}
		if err := limits.Add(w.rows, int(lo)); err != nil {
			return err
		}
	}
	j.merging.Lock()
	defer j.merging.Unlock()
	j.limits.Join(limits)
	return nil
}

// read brings the rows of a panel and returns the first one's number.
func (w *packWorker) read(j *packJob, panel int64) (first int64, err error) {
	lo, hi := j.rowRange(panel)
	if j.turned != nil {
		w.rows = append(w.rows[:0], j.turned[(lo-j.turnedFrom)*j.cols:(hi-j.turnedFrom)*j.cols]...)
		return lo, nil
	}
	w.rows = grow(w.rows, int((hi-lo)*j.cols))
	return lo, models.ReadRows(w.checkpoint, j.weight.Recipe, w.rows, j.weight.Type.Rank(), lo, hi)
}

// pack writes panels [first, last) of a weight.
func (w *packWorker) pack(j *packJob, first, last int64) error {
	size := rowsAtOnce * j.cols * 4
	if j.packed != nil {
		size = int64(j.packed.PanelBytes())
	}
	w.out = grow(w.out, int((last-first)*size))
	used := int64(0)
	for panel := first; panel < last; panel++ {
		n, err := w.encode(j, panel, w.out[used:])
		if err != nil {
			return err
		}
		used += n
	}
	if _, err := w.writer.Weight(j.index).WriteAt(w.out[:used], first*size); err != nil {
		return err
	}
	w.task.Add(used)
	return nil
}

// encode reads a panel's rows and packs them, or copies them where the weight is row-major, and returns the bytes that it wrote.
func (w *packWorker) encode(j *packJob, panel int64, out []byte) (int64, error) {
	first, last := j.rowRange(panel)
	if j.format != nil && j.weight.Stored != "" { // the checkpoint's codes, as they are
		if err := models.ReadCodes(w.checkpoint, j.weight.Recipe, j.format, &w.block, j.cols, first, last); err != nil {
			return 0, err
		}
		return w.packBlock(j, out)
	}
	if _, err := w.read(j, panel); err != nil {
		return 0, err
	}
	switch {
	case j.packed == nil:
		for i, f := range w.rows {
			binary.LittleEndian.PutUint32(out[4*i:], math.Float32bits(f))
		}
		return int64(4 * len(w.rows)), nil
	case j.format == nil:
		return int64(j.packed.PanelBytes()), j.packed.PackFloats(out[:j.packed.PanelBytes()], w.rows)
	}
	if chosen, err := w.choose(j, panel); err != nil {
		return 0, err
	} else if !chosen {
		if err := j.format.QuantizeRows(&w.block, w.rows, int(j.cols), int(first), j.limits); err != nil {
			return 0, err
		}
	}
	w.back = grow(w.back, len(w.rows))
	j.format.Dequantize(w.back, &w.block)
	j.loss[panel] = newPanelLoss(w.rows, w.back)
	return w.packBlock(j, out)
}

// packBlock packs the codes of w.block into one panel.
func (w *packWorker) packBlock(j *packJob, out []byte) (int64, error) {
	codes := layout.Codes{Codes: w.block.Codes, Scales: w.block.Scales, Zeros: w.block.Zeros, Steps: w.block.Steps, Index: w.block.Index}
	return int64(j.packed.PanelBytes()), j.packed.PackCodes(out[:j.packed.PanelBytes()], codes)
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
