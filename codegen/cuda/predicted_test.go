//go:build !kit

package cuda_test

import (
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"llmc/codegen"
	"llmc/codegen/cuda"
	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/passes"
)

// newest is the release of ptxas whose registers predictions take from the budget.
const newest = "13.5"

// lowered is a program without its weights, which predictions do not read.
type lowered struct {
	module  *ir.Module
	program *engine.Program
	code    *dump.CardCode
	source  dump.Source
	reports map[string]*dump.CardReport // of the page's steps, by card
}

// lowerLayers writes a model of some layers.
func lowerLayers(t *testing.T, config, target, format string, layers int) *lowered {
	t.Helper()
	gpu, m := gpuTarget(t, target), importLayers(t, config, dtype.BF16, layers)
	_, err := passes.Run(m, passes.Options{Target: gpu, Policy: passes.Policy{Linear: format}})
	check(t, err)
	coder := cuda.NewCoder(gpu)
	program, err := codegen.Emit(m, m.Func("step"), gpu.Name(), coder)
	check(t, err)
	text, err := coder.Text()
	check(t, err)
	l := &lowered{module: m, program: program, reports: map[string]*dump.CardReport{}}
	registers := dump.Registers{From: "the budget", Of: map[string]int{}}
	of := registersOfBudget(t, target)
	for _, e := range dump.NewPTX(target, text).Entries {
		if n, ok := of[classOf(m, program, e.Name)]; ok {
			registers.Of[e.Name] = n
		}
	}
	entries := map[string]*engine.WeightEntry{}
	for _, w := range m.Weights {
		entries[w.Name] = entryOf(t, w)
	}
	l.source = dump.Source{MaxContext: 4096, Weight: func(name string) *engine.WeightEntry { return entries[name] }}
	l.code = dump.NewCardCode(l.source, program, text, registers)
	return l
}

// entryOf is a weight as a plan has it, without its place.
func entryOf(t *testing.T, w *ir.Weight) *engine.WeightEntry {
	t.Helper()
	e := &engine.WeightEntry{Name: w.Name, Layout: w.Type.Layout, Segment: w.Segment}
	elements := int64(1)
	for _, d := range w.Type.Dims {
		n, _ := d.IsConst()
		e.Shape, elements = append(e.Shape, n), elements*n
	}
	if w.Type.Layout == "" {
		e.DType, e.Bytes, e.Segment = "f32", 4*elements, 0
		return e
	}
	p, err := e.Packed()
	check(t, err)
	e.Bytes = int64(p.Bytes())
	return e
}

// registersOfBudget reads the registers of a target's classes.
func registersOfBudget(t *testing.T, target string) map[string]int {
	t.Helper()
	data, err := os.ReadFile(budgetPath)
	check(t, err)
	of := map[string]int{}
	for line := range strings.Lines(string(data)) {
		if row := strings.Fields(line); len(row) == 5 && row[0] == target && row[1] == newest {
			of[row[2]], _ = strconv.Atoi(row[3])
		}
	}
	return of
}

// on predicts the steps of the page on a card.
func (l *lowered) on(t *testing.T, card string) *dump.CardReport {
	t.Helper()
	if l.reports[card] == nil {
		c, err := engine.FindCard(card)
		check(t, err)
		l.reports[card], err = l.code.On(c, dump.DefaultCardSteps)
		check(t, err)
	}
	return l.reports[card]
}

// stepSum is what a step of a model takes, and what each kernel takes beyond its bound.
type stepSum struct {
	seconds, bound, gaps, bytes float64
	lost                        map[string]float64
}

func sumOf(r *dump.CardReport, step int) stepSum {
	s := &r.Steps[step]
	sum := stepSum{s.Seconds, s.Bound, s.Gaps, s.Bytes, map[string]float64{}}
	for _, l := range r.Launches {
		if c := &l.Steps[step]; c.Entry != "" {
			sum.lost[l.Kernel] += float64(l.Count) * (c.Seconds - c.Bound - c.Gap)
		}
	}
	return sum
}

// extended is the sum of a model of so many layers, from those of two and of three: a layer more takes what the third did.
func extended(two, three stepSum, layers int) stepSum {
	more := func(a, b float64) float64 { return a + float64(layers-2)*(b-a) }
	sum := stepSum{more(two.seconds, three.seconds), more(two.bound, three.bound), more(two.gaps, three.gaps), more(two.bytes, three.bytes), map[string]float64{}}
	for kernel := range three.lost {
		sum.lost[kernel] = more(two.lost[kernel], three.lost[kernel])
	}
	return sum
}

// TestExtended wants of a whole model what its layers say.
func TestExtended(t *testing.T) {
	const layers = 7
	var sums []stepSum
	for _, n := range []int{2, 3, layers} {
		sums = append(sums, sumOf(lowerLayers(t, budgetModels[0].config, "sm90", "int4-g32", n).on(t, "h200"), 1))
	}
	got, want := extended(sums[0], sums[1], layers), sums[2]
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Abs(b) }
	if !near(got.seconds, want.seconds) || !near(got.bound, want.bound) || !near(got.gaps, want.gaps) || !near(got.bytes, want.bytes) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
