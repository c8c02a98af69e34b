package compiler

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"

	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/cli"
	"llmc/ir"
)

// DiffOptions say how two plans are compared.
type DiffOptions struct {
	Values   bool // numbers of weights that are not the same bytes, as they are after decoding
	Threads  int  // as of Options
	Progress *cli.Progress
}

// Diff compares two plans: what they say of themselves, and the numbers that their weights stand for. Rows are found by what they were made from, so that it does not matter how either plan
// fuses, packs and orders them.
func Diff(ctx context.Context, before, after *engine.Plan, o DiffOptions) (*dump.Comparison, error) {
	c, err := dump.Compare(before, after)
	if err != nil || c.Same || !o.Values {
		return c, err
	}
	d, err := newDifference(before, after)
	if err != nil {
		return nil, err
	}
	task := o.Progress.Start("comparing weights", int64(len(d.old)))
	defer task.Done()
	c.Values = make([]dump.WeightValues, len(d.old))
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers(o.Threads) {
		all.Go(func() {
			for i := int(next.Add(1) - 1); i < len(d.old) && ctx.Err() == nil; i = int(next.Add(1) - 1) {
				c.Values[i] = d.values(ctx, d.old[i])
				task.Add(1)
			}
		})
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.Values = slices.DeleteFunc(c.Values, func(v dump.WeightValues) bool { return v.Name == "" })
	c.SetLayers()
	return c, nil
}

// difference finds the rows of one plan in another.
type difference struct {
	old    []*storedWeight
	places map[string][]place // of the rows of the second plan, by their source
	byName map[string]*storedWeight
}

func newDifference(before, after *engine.Plan) (*difference, error) {
	d := &difference{places: map[string][]place{}, byName: map[string]*storedWeight{}}
	for i, plan := range []*engine.Plan{before, after} {
		for at := range plan.Weights() {
			w, err := newStoredWeight(plan, &plan.Weights()[at])
			if err != nil {
				return nil, fmt.Errorf("%s: weight %q: %w", plan.Path(), plan.Weights()[at].Name, err)
			}
			if i == 0 {
				d.old = append(d.old, w)
				continue
			}
			d.byName[w.Name] = w
			row := int64(0)
			for run := range w.recipe.Runs(w.cols, 0, w.rows) {
				key := rowSource(run, w.cols)
				d.places[key] = append(d.places[key], place{w, row, run})
				row += run.Rows
			}
		}
	}
	return d, nil
}

// rowSource names what rows of a run are numbers of: a tensor, perhaps some of its columns, or a matrix that is turned.
func rowSource(run ir.Run, cols int64) string {
	source := *run.Source
	switch source.Kind {
	case ir.Rotated:
		source = *source.Whole(cols)
	case ir.FromTensor:
		source.Start, source.Count = 0, 0
	}
	return fmt.Sprintf("%d %s", cols, source.String())
}

// values compares a weight. Zeros that fill up blocks count for nothing; constants are the same where both plans have them.
func (d *difference) values(ctx context.Context, w *storedWeight) dump.WeightValues {
	v := dump.WeightValues{Name: w.Name, Layer: layerName(w.Name), Formats: [2]string{formatName(w), ""}}
	if same := d.byName[w.Name]; same != nil && slices.Equal(same.SHA256, w.SHA256) && same.Layout == w.Layout && same.Format == w.Format && same.Recipe == w.Recipe {
		v.Same, v.Formats[1] = true, v.Formats[0]
		return v
	}
	var sum panelLoss
	row := int64(0)
	buffers := [2][]float32{make([]float32, layout.Lanes*w.cols), make([]float32, layout.Lanes*w.cols)}
	for run := range w.recipe.Runs(w.cols, 0, w.rows) {
		first := row
		row += run.Rows
		if run.Source.Kind == ir.FromZeros {
			continue
		}
		for at := int64(0); at < run.Rows && ctx.Err() == nil; {
			n := min(run.Rows-at, layout.Lanes)
			other, their := d.find(w.Name, rowSource(run, w.cols), run.First+at, &n)
			if other == nil {
				v.Missing += n
				at += n
				continue
			}
			v.Formats[1] = formatName(other)
			old, now := buffers[0][:n*w.cols], buffers[1][:n*w.cols]
			w.decode(old, first+at)
			other.decode(now, their)
			l := newPanelLoss(old, now)
			sum.err, sum.ref = sum.err+l.err, sum.ref+l.ref
			at += n
		}
	}
	v.Error, v.SquaredError, v.Squares = relative(sum), sum.err, sum.ref
	return v
}

// find returns where the row of a source lies in the second plan, and cuts n to the rows that lie behind it there. A weight of the same name goes before others.
func (d *difference) find(name, source string, row int64, n *int64) (w *storedWeight, at int64) {
	var found *place
	for i := range d.places[source] {
		p := &d.places[source][i]
		if p.run.First <= row && row < p.run.First+p.run.Rows && (found == nil || p.weight.Name == name) {
			found = p
		}
	}
	if found == nil {
		return nil, 0
	}
	*n = min(*n, found.run.First+found.run.Rows-row)
	return found.weight, found.row + row - found.run.First
}

func formatName(w *storedWeight) string {
	if w.Format != "" {
		return w.Format
	}
	return w.DType
}

// layerNumber matches what names of weights have before the names inside a layer.
var layerNumber = regexp.MustCompile(`^.*?\.\d+\.`)

// layerName is what a weight's name says of its layer, "" where it is of none.
func layerName(name string) string {
	if m := layerNumber.FindString(name); m != "" {
		return m[:len(m)-1]
	}
	return ""
}
