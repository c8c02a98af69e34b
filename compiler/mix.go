package compiler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"llmc/compiler/calib"
	"llmc/engine"
	"llmc/internal/quant"
	"llmc/ir"
	"llmc/passes"
)

// mixFormats are what weights may have under a budget, those that all targets take.
var mixFormats = []string{"int4-g128", "int4-g64", "int4-nested", "int4-g32", "int4-g32-zp", "fp8", "int8"}

// How much of the text a mix is chosen by: windows whose inputs are looked at, and tokens on which is measured what the model makes of a part of it being rounded.
const (
	mixWindows = 8
	mixTokens  = calib.Window / 2
)

// mixRows is how many rows of a weight each format is tried on.
const mixRows = 32

// thirds is in how many parts of its layers a model's weights of one kind are measured.
const thirds = 3

// mixer chooses formats under a budget. What a weight loses in a format is measured on some of its rows, by the method that is going to choose its codes; how much the model diverges for that is measured for
// each kind of weight and third of the layers, by rounding these alone in a copy of the model in f32.
type mixer struct {
	*calibrated
	build   *build
	formats []*quant.Format // the smallest first
	jobs    []*packJob
	plan    *engine.Plan // of the copy
	altered engine.PartTracer
}

// baseFormat is what all weights have before a budget is spent: the smallest of mixFormats that all targets take.
func baseFormat(targets []engine.Target) (string, error) {
	formats, err := formatsToMix(targets)
	if err != nil {
		return "", err
	}
	return formats[0].Name, nil
}

func formatsToMix(targets []engine.Target) ([]*quant.Format, error) {
	var names []string
	for _, t := range targets {
		names = append(names, t.Name)
	}
	takes, err := formatsOf(append(names, calibrationTarget))
	if err != nil {
		return nil, err
	}
	var formats []*quant.Format
	for _, name := range mixFormats {
		f, err := quant.Find(name)
		if err != nil {
			return nil, err
		}
		if takes(f) {
			formats = append(formats, f)
		}
	}
	if len(formats) == 0 {
		return nil, fmt.Errorf("--budget: the targets have none of %s in common", strings.Join(mixFormats, ", "))
	}
	return formats, nil
}

// mix chooses formats under the build's budget, and lowers the model again with them.
func (c *calibrated) mix(ctx context.Context, b *build, windows [][]int32) error {
	m := &mixer{calibrated: c, build: b}
	var err error
	if m.formats, err = formatsToMix(b.targets); err != nil {
		return err
	}
	if m.jobs, err = b.measuredJobs(); err != nil {
		return err
	}
	var some [][]int32
	for i := range min(len(windows), mixWindows) {
		some = append(some, windows[i*len(windows)/min(len(windows), mixWindows)])
	}
	if err := c.run(ctx, b, some); err != nil {
		return err
	}
	overrides, err := m.choose(ctx)
	if err != nil {
		return err
	}
	c.tokens = 0
	return b.override(overrides)
}

// override lowers the model again with formats of single weights, beside those that were asked for.
func (b *build) override(all []passes.Override) error {
	b.Override, b.mixed = append(b.askedFor(), all...), len(all)
	b.policy.Overrides = b.Override
	return b.lowerAll()
}

// askedFor are the overrides that the budget has not chosen.
func (b *build) askedFor() []passes.Override {
	return append([]passes.Override(nil), b.Override[:len(b.Override)-b.mixed]...)
}

// mixName tells how many weights have which format.
func (b *build) mixName() string {
	counts := map[string]int{}
	for _, j := range b.weights.of(b.lowered[0].module) {
		if j.format != nil {
			counts[j.format.Name]++
		}
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], name))
	}
	return strings.Join(parts, ", ")
}

// choose returns the formats of the weights, those that have another one than the base.
func (m *mixer) choose(ctx context.Context) ([]passes.Override, error) {
	path := filepath.Join(m.dir, "mixed.plan")
	if err := copyFile(path, filepath.Join(m.dir, originalPlan)); err != nil {
		return nil, err
	}
	var err error
	if m.plan, err = engine.Open(path); err != nil {
		return nil, err
	}
	defer m.plan.Close()
	if m.altered, err = m.build.Calibration.Open(path, m.build.calibrationSettings()); err != nil {
		return nil, err
	}
	defer m.altered.Close()
	groups := m.groups()
	task := m.build.Progress.Start("budget", int64(len(m.jobs)+len(groups)))
	defer task.Done()
	choices := make([][]choice, len(m.jobs))
	weights := int64(0)
	for i, j := range m.jobs {
		if choices[i], err = m.choicesOf(j); err != nil {
			return nil, fmt.Errorf("weight %q: %w", j.weight.Name, err)
		}
		weights += j.rows * j.cols
		task.Add(1)
	}
	for _, group := range groups {
		divergence, err := m.divergence(ctx, group)
		if err != nil {
			return nil, err
		}
		m.scale(choices, group, divergence)
		task.Add(1)
	}
	chosen, ok := cheapestMix(choices, m.build.Budget.of(weights))
	if !ok {
		return nil, fmt.Errorf("--budget %s: the smallest formats take %.2f bits a weight of %d", m.build.Budget, bitsOf(choices, chosen)/float64(weights), weights)
	}
	var overrides []passes.Override
	for i, j := range m.jobs {
		if f := choices[i][chosen[i]].format; f != m.build.quant {
			overrides = append(overrides, passes.Override{Pattern: jobName(j), Format: f})
		}
	}
	return overrides, nil
}

func bitsOf(choices [][]choice, chosen []int) (bits float64) {
	for i, c := range chosen {
		bits += choices[i][c].bits
	}
	return bits
}

// jobName is a weight's name in the module.
func jobName(j *packJob) string {
	name, _, _ := strings.Cut(j.weight.Name, "/")
	return name
}

// choicesOf returns what a weight takes in each format and what share of its products it loses. One that an override names has no choice.
func (m *mixer) choicesOf(j *packJob) ([]choice, error) {
	formats := m.formats
	if j.format.Name != m.build.quant {
		formats = []*quant.Format{j.format}
	}
	rows, err := m.rowsOf(j)
	if err != nil {
		return nil, err
	}
	input, _ := m.inputOf(j.weight, j.cols)
	var all []choice
	for _, f := range formats {
		loss, err := m.lossIn(f, input, rows, int(j.cols))
		if err != nil {
			return nil, err
		}
		all = append(all, choice{f.Name, f.BitsPerWeight(int(j.cols)) * float64(j.rows*j.cols), loss})
	}
	return all, nil
}

// rowsOf returns the rows of a weight that formats are tried on, spread over all that are read.
func (m *mixer) rowsOf(j *packJob) ([]float32, error) {
	cols := int(j.cols)
	rows, err := m.build.someRows(j.weight, cols)
	if err != nil || len(rows) <= mixRows*cols {
		return rows, err
	}
	var some []float32
	for i := range mixRows {
		at := i * (len(rows) / cols) / mixRows * cols
		some = append(some, rows[at:at+cols]...)
	}
	return some, nil
}

// lossIn is the share of the products that rows lose in a format.
func (m *mixer) lossIn(f *quant.Format, input *calib.Input, rows []float32, cols int) (float64, error) {
	if input == nil || !f.Choosable() {
		loss, err := calib.RoundingLoss(f, input, rows, cols)
		return share(loss), err
	}
	r, err := calib.NewRounder(f, m.method, input.Moments, cols, nil)
	if err != nil {
		return 0, err
	}
	var block quant.Block
	var scratch calib.Scratch
	loss, err := r.Round(&block, rows, &scratch)
	return share(loss), err
}

func share(l calib.Loss) float64 {
	if !(l.Ref > 0) {
		return 0
	}
	return l.Err / l.Ref
}

// groups are weights, by index, that are measured together: of one kind, in one third of the layers.
func (m *mixer) groups() [][]int {
	byKind := map[string][]int{}
	var kinds []string
	for i, j := range m.jobs {
		kind := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return -1
			}
			return r
		}, jobName(j))
		if byKind[kind] == nil {
			kinds = append(kinds, kind)
		}
		byKind[kind] = append(byKind[kind], i)
	}
	var groups [][]int
	for _, kind := range kinds {
		all := byKind[kind]
		for third := range thirds {
			if part := all[third*len(all)/thirds : (third+1)*len(all)/thirds]; len(part) > 0 {
				groups = append(groups, part)
			}
		}
	}
	return groups
}

// divergence measures how far the model is from itself when the weights of a group alone are rounded to the smallest format, and divides by the share of their products that they lose then.
func (m *mixer) divergence(ctx context.Context, group []int) (float64, error) {
	lost := 0.0
	var entries []*engine.WeightEntry
	for _, i := range group {
		j := m.jobs[i]
		entry, _, err := m.plan.Weight(jobName(j))
		if errors.Is(err, engine.ErrNotFound) {
			continue // of another shape in f32: it has the mean of its kind
		}
		if err != nil {
			return 0, err
		}
		rows, err := m.rowsOf(j)
		if err != nil {
			return 0, err
		}
		input, _ := m.inputOf(j.weight, j.cols)
		loss, err := calib.RoundingLoss(m.formats[0], input, rows, int(j.cols))
		if err != nil {
			return 0, err
		}
		lost += share(loss)
		entries = append(entries, entry)
	}
	if !(lost > 0) {
		return 0, nil
	}
	if err := m.rewriteAll(ctx, entries, true); err != nil {
		return 0, err
	}
	q, err := calib.Evaluate(ctx, m.altered, m.original, m.build.model.Info.Vocab, m.ids[:min(len(m.ids), mixTokens)], nil)
	if err != nil {
		return 0, err
	}
	return max(0, *q.KL) / lost, m.rewriteAll(ctx, entries, false)
}

// rewriteAll rounds the weights in the copy of the model, or puts the checkpoint's back.
func (m *mixer) rewriteAll(ctx context.Context, entries []*engine.WeightEntry, rounded bool) error {
	for _, entry := range entries {
		recipe, err := ir.ParseRecipe(entry.Recipe, entry.K())
		if err != nil {
			return err
		}
		if _, out := recipe.Unmixed(); out != "" {
			return fmt.Errorf("--budget: weight %q is turned, and turned models take one format; give --rotate none, or --quant instead", entry.Name)
		}
		err = m.build.rewrite(ctx, m.plan, entry, recipe, func() func(rows []float32, lo, hi int64) error {
			var block quant.Block
			return func(rows []float32, _, _ int64) error {
				if !rounded {
					return nil
				}
				if err := m.formats[0].Quantize(&block, rows, int(entry.K())); err != nil {
					return err
				}
				m.formats[0].Dequantize(rows, &block)
				return nil
			}
		})
		if err != nil {
			return fmt.Errorf("weight %q: %w", entry.Name, err)
		}
	}
	return nil
}

// scale makes expected divergence of the shares that the weights of a group lose.
func (m *mixer) scale(choices [][]choice, group []int, divergence float64) {
	for _, i := range group {
		for k := range choices[i] {
			if choices[i][k].loss *= divergence; math.IsNaN(choices[i][k].loss) {
				choices[i][k].loss = 0
			}
		}
	}
}
