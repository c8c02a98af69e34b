package lora

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"

	"llmc/compiler/hf"
	"llmc/engine"
	"llmc/internal/version"
)

// Options say which adapter is made ready for which model.
type Options struct {
	Dir  string       // in PEFT's layout
	Base *engine.Plan // of the model
	Out  string       // path of the adapter's plan

	// Repo and Commit say of which repository of the Hub the directory is a snapshot; "" when it is of none.
	Repo, Commit string
}

// Report is what Build ends with. The names are those of the command's JSON.
type Report struct {
	Plan       string `json:"plan"`
	Base       string `json:"base"`
	Rank       int    `json:"rank"`
	Modules    int    `json:"modules"`
	Parameters int64  `json:"parameters"`
	PlanBytes  int64  `json:"plan_bytes"`
	Digest     string `json:"digest"`
}

// Build writes the plan of an adapter. Its bytes depend on the adapter and the model's plan alone. Memory is that of one product at a time.
func Build(ctx context.Context, o Options) (*Report, error) {
	a, err := hf.OpenAdapter(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("adapter %s: %w", o.Dir, err)
	}
	defer a.Close()
	report, err := build(ctx, &o, a)
	if err != nil {
		return nil, fmt.Errorf("adapter %s: %w", o.Dir, err)
	}
	return report, nil
}

// Rank is the largest rank of an adapter in a directory.
func Rank(dir string) (rank int, err error) {
	a, err := hf.OpenAdapter(dir)
	if err != nil {
		return 0, fmt.Errorf("adapter %s: %w", dir, err)
	}
	for _, p := range a.Pairs() {
		rank = max(rank, int(p.Down.Rows()))
	}
	return rank, a.Close()
}

func build(ctx context.Context, o *Options, a *hf.Adapter) (*Report, error) {
	m := &matcher{base: o.Base, pairs: a.Pairs()}
	joints, err := m.match()
	if err != nil {
		return nil, err
	}
	report := &Report{Plan: o.Out, Base: o.Base.Path(), Modules: len(m.pairs)}
	for i := range m.pairs {
		p := &m.pairs[i]
		report.Rank = max(report.Rank, int(p.Down.Rows()))
		report.Parameters += p.Down.Rows() * (p.Down.Cols() + p.Up.Rows())
	}
	if report.Rank > engine.MaxAdapterRank {
		return nil, fmt.Errorf("rank %d, at most %d", report.Rank, engine.MaxAdapterRank)
	}
	spec, err := sections(ctx, o, a, report)
	if err != nil {
		return nil, err
	}
	for _, j := range joints {
		spec.Weights = append(spec.Weights, j.entries()...)
	}
	w, err := engine.NewWriter(o.Out, spec)
	if err != nil {
		return nil, err
	}
	for i, j := range joints {
		if err := m.write(ctx, w, i, j); err != nil {
			w.Abort()
			return nil, err
		}
	}
	if report.Digest, err = w.Finish(); err != nil {
		return nil, err
	}
	if info, err := os.Stat(o.Out); err == nil {
		report.PlanBytes = info.Size()
	}
	return report, nil
}

// sections says what the plan holds besides its matrices.
func sections(ctx context.Context, o *Options, a *hf.Adapter, r *Report) (engine.Spec, error) {
	info := o.Base.Info()
	info.Adapter = &engine.AdapterInfo{Base: o.Base.Digest(), Rank: r.Rank}
	info.Parameters, info.Quant, info.BitsPerW = r.Parameters, "f32", 32
	origin := engine.Provenance{Compiler: version.Full(), Model: o.Repo, Revision: o.Commit, Options: []engine.Option{{Name: "base", Value: o.Base.Digest()}}}
	digests, err := a.Digests(ctx)
	if err != nil {
		return engine.Spec{}, err
	}
	for _, d := range digests {
		origin.Files = append(origin.Files, engine.SourceFile{Name: d.Name, Bytes: d.Bytes, SHA256: d.SHA256[:]})
	}
	var spec engine.Spec
	for _, make := range []func() (engine.Content, error){
		func() (engine.Content, error) { return engine.InfoContent(&info) },
		func() (engine.Content, error) { return engine.ProvenanceContent(&origin) },
	} {
		c, err := make()
		if err != nil {
			return spec, err
		}
		spec.Sections = append(spec.Sections, c)
	}
	return spec, nil
}

// entries describes the two matrices of a product.
func (j *joint) entries() []engine.WeightEntry {
	const lanes = engine.AdapterLanes
	entry := func(suffix string, panels, steps int64) engine.WeightEntry {
		return engine.WeightEntry{Name: j.weight + suffix, DType: "f32", Format: "f32", Shape: []int64{panels, steps, lanes}, Bytes: 4 * panels * steps * lanes}
	}
	return []engine.WeightEntry{entry(engine.AdapterDown, engine.AdapterPanels(j.rank), j.k), entry(engine.AdapterUp, engine.AdapterPanels(j.n), j.rank)}
}

// write fills in product i.
func (m *matcher) write(ctx context.Context, w *engine.Writer, i int, j *joint) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	down, up := make([]float32, j.rank*j.k), make([]float32, j.n*j.rank)
	for _, p := range j.parts {
		if err := m.fill(j, &p, down, up); err != nil {
			return err
		}
	}
	for n, matrix := range []struct {
		data       []float32
		rows, cols int64
	}{{down, j.rank, j.k}, {up, j.n, j.rank}} {
		if _, err := w.Weight(2*i + n).Write(packPanels(matrix.data, matrix.rows, matrix.cols)); err != nil {
			return err
		}
	}
	return nil
}

// packPanels returns [panels of rows][cols][lanes] of a matrix [rows, cols].
func packPanels(x []float32, rows, cols int64) []byte {
	const lanes = engine.AdapterLanes
	out := make([]byte, 4*engine.AdapterPanels(rows)*lanes*cols)
	for i, v := range x {
		row, col := int64(i)/cols, int64(i)%cols
		at := (row/lanes*cols+col)*lanes + row%lanes
		binary.LittleEndian.PutUint32(out[4*at:], math.Float32bits(v))
	}
	return out
}
