package compiler

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"llmc/compiler/calib"
	"llmc/ir"
)

// fewTokens is how many rows an expert has to be sent to say how its codes are best chosen; of fewer they are rounded, as those of experts that no row reaches.
const fewTokens = 32

// expertInput is an input of the matrices of experts: rows of a value, sorted by experts. Names are of values in the f32 plan.
type expertInput struct {
	x, rows, offsets string // rows: "" where x is sorted already
	experts          int
}

// of names what expert e reads of it.
func (in expertInput) of(e int) string { return fmt.Sprintf("%s[%d]", in.x, e) }

// stackRows are the rows of a source that belong to one expert, and the name of its input.
type stackRows struct {
	first, last int64
	input       string
}

// findExperts notes by the rows' sources which part of an input each matrix of a stack is multiplied with.
func (c *calibrated) findExperts(op *ir.Op, inputs map[string]int) {
	w, x := op.Arg("w").Weight, op.Arg("x")
	rows, cols, _ := w.Type.Matrix()
	experts, ok := w.Type.Rows().IsConst()
	if !ok || experts < 1 || w.Type.Rank() != 3 {
		return
	}
	in := expertInput{x: valueName(x), offsets: valueName(op.Arg("offsets")), experts: int(experts)}
	if r := op.Arg("rows"); r != nil {
		in.rows = valueName(r)
	}
	if !slices.Contains(c.sorted, in) {
		c.sorted = append(c.sorted, in)
	}
	each := rows / experts
	for e := range experts {
		for run := range w.Recipe.Runs(cols, e*each, (e+1)*each) {
			key := sourceKey(run.Source, cols)
			if key == "" {
				continue
			}
			inputs[in.of(int(e))] = int(cols)
			c.stacks[key] = append(c.stacks[key], stackRows{run.First, run.First + run.Rows, in.of(int(e))})
		}
	}
}

// fewerInputs leaves experts out where the moments of all of them would be too many: their codes are the nearest ones then, and all are named.
func (c *calibrated) fewerInputs(inputs map[string]int) {
	if !calib.TooMany(inputs) {
		return
	}
	for _, in := range c.sorted {
		for e := range in.experts {
			delete(inputs, in.of(e))
		}
	}
	c.sorted = nil
}

// sorter gathers what experts read as a step's values appear. A product reads its input, which rows are sent where, and where each expert's begin: it has them when the last of these appears.
type sorter struct {
	of      []expertInput
	moments *calib.Moments
	values  map[string][][]float32
	places  map[string][]int32
	done    map[string]bool
}

// begin forgets the step before.
func (s *sorter) begin() {
	s.values, s.places, s.done = map[string][][]float32{}, map[string][]int32{}, map[string]bool{}
}

// value takes in a matrix; its rows stay what they are until the products that read them have run.
func (s *sorter) value(name string, rows [][]float32) {
	s.moments.Add(name, rows)
	if slices.ContainsFunc(s.of, func(in expertInput) bool { return in.x == name }) {
		s.values[name] = rows
		s.sort()
	}
}

// place takes in whole numbers.
func (s *sorter) place(name string, values []int32) {
	if slices.ContainsFunc(s.of, func(in expertInput) bool { return in.rows == name || in.offsets == name }) {
		s.places[name] = slices.Clone(values)
		s.sort()
	}
}

// sort adds up what experts read of inputs of which all is there.
func (s *sorter) sort() {
	for _, in := range s.of {
		x, offsets, rows := s.values[in.x], s.places[in.offsets], s.places[in.rows]
		if s.done[in.x] || x == nil || len(offsets) != in.experts+1 || in.rows != "" && rows == nil {
			continue
		}
		s.done[in.x] = true
		for e := range in.experts {
			var read [][]float32
			for p := offsets[e]; p < offsets[e+1]; p++ {
				at := p
				if in.rows != "" {
					at = rows[p]
				}
				read = append(read, x[at])
			}
			s.moments.Add(in.of(e), read)
		}
	}
}

// rounded names the experts of a stack whose codes are the nearest ones, because the text sends them too few rows; "" where there are none.
func (j *packJob) rounded() string {
	experts, ok := j.weight.Type.Rows().IsConst()
	if j.chosen.panels == nil || j.weight.Type.Rank() != 3 || !ok {
		return ""
	}
	var few []string
	last := int64(-1)
	for panel, m := range j.chosen.panels {
		first, _ := j.rowRange(int64(panel))
		if e := first / (j.rows / experts); m == nil && e != last {
			few = append(few, strconv.FormatInt(e, 10))
			last = e
		}
	}
	if few == nil {
		return ""
	}
	return fmt.Sprintf("%s: %s of %d experts", j.weight.Name, strings.Join(few, ", "), experts)
}
