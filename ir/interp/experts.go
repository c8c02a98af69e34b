package interp

import (
	"fmt"
	"math"
	"slices"
)

func (c *call) scaleRows() error {
	x, by := c.arg("x"), c.arg("by")
	y := newTensor(x.Rows, x.Cols)
	for m := range x.Rows {
		for i, v := range x.Row(m) {
			y.Row(m)[i] = v * by.Data[m]
		}
	}
	c.give(y)
	return nil
}

func (c *call) scalePositions() error {
	x, positions := c.arg("x"), c.arg("positions").Index
	y := newTensor(x.Rows, x.Cols)
	for m := range x.Rows {
		factor := 1 + c.op.Float("by")*math.Log1p(float64((int64(positions[m])+1)/c.op.Int("every")))
		for i, v := range x.Row(m) {
			y.Row(m)[i] = float32(float64(v) * factor)
		}
	}
	c.give(y)
	return nil
}

// scores are what experts are weighted by.
func (c *call) scores(logits []float32) []float64 {
	s := make([]float64, len(logits))
	if c.op.Text("score") == "sigmoid" {
		for i, l := range logits {
			s[i] = sigmoid(float64(l))
		}
		return s
	}
	sum := 0.0
	for i, l := range logits {
		s[i] = math.Exp(float64(l) - float64(slices.Max(logits)))
		sum += s[i]
	}
	for i := range s {
		s[i] /= sum
	}
	return s
}

// best returns the k largest of values, the largest one first and of equals the first, among those that allowed names.
func best(values []float64, k int, allowed func(i int) bool) []int {
	var order []int
	for i := range values {
		if allowed(i) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case values[a] > values[b]:
			return -1
		case values[a] < values[b]:
			return 1
		}
		return 0
	})
	return order[:k]
}

func all(int) bool { return true }

// choose returns the experts of a row.
func (c *call) choose(choice []float64) []int {
	groups := c.int("groups")
	size := len(choice) / groups
	rank := make([]float64, groups)
	for g := range groups {
		group := slices.Sorted(slices.Values(choice[g*size : (g+1)*size]))
		rank[g] = group[size-1]
		if c.op.Text("group_score") == "top2" {
			rank[g] += group[size-2]
		}
	}
	chosen := best(rank, c.int("top_groups"), all)
	return best(choice, c.int("top_k"), func(i int) bool { return slices.Contains(chosen, i/size) })
}

func (c *call) route() error {
	logits, k := c.arg("logits"), c.int("top_k")
	bias, err := c.bias(logits.Cols)
	if err != nil {
		return err
	}
	byOrder := !c.has("bias") && c.op.Text("group_score") == "max" // of scores is that of logits
	experts, weights := Tensor{Rows: logits.Rows, Cols: k}, newTensor(logits.Rows, k)
	for m := range logits.Rows {
		scores := c.scores(logits.Row(m))
		choice := make([]float64, len(scores))
		for i := range choice {
			choice[i] = scores[i] + float64(bias[i])
			if byOrder { // which rounding would make equal at the ends of the scores
				choice[i] = float64(logits.Row(m)[i])
			}
		}
		sum := 0.0
		chosen := c.choose(choice)
		for _, e := range chosen {
			experts.Index = append(experts.Index, int32(e))
			sum += scores[e]
		}
		if c.int("normalize") == 0 {
			sum = 1
		}
		for j, e := range chosen {
			weights.Row(m)[j] = float32(scores[e] / sum * c.op.Float("scale"))
		}
	}
	c.give(experts, weights)
	return nil
}

func (c *call) dispatch() error {
	experts, count := c.arg("experts"), c.int("count")
	rows, places, offsets := []int32{}, make([]int32, len(experts.Index)), []int32{0}
	for e := range count {
		for i, chosen := range experts.Index {
			if chosen < 0 || int(chosen) >= count {
				return fmt.Errorf("row %d is sent to expert %d of %d", i/experts.Cols, chosen, count)
			}
			if int(chosen) == e {
				places[i] = int32(len(rows))
				rows = append(rows, int32(i/experts.Cols))
			}
		}
		offsets = append(offsets, int32(len(rows)))
	}
	c.give(indices(rows), Tensor{Rows: experts.Rows, Cols: experts.Cols, Index: places}, indices(offsets))
	return nil
}

// expertProduct multiplies the row at each place with the matrix of its expert.
func (c *call) expertProduct() (Tensor, error) {
	x, offsets := c.arg("x"), c.arg("offsets").Index
	w, err := c.weight("w")
	if err != nil {
		return Tensor{}, err
	}
	outputs := w.Rows / (len(offsets) - 1)
	bias, err := c.bias(w.Rows)
	if err != nil {
		return Tensor{}, err
	}
	y := newTensor(int(offsets[len(offsets)-1]), outputs)
	for e := range len(offsets) - 1 {
		for p := offsets[e]; p < offsets[e+1]; p++ {
			row := int(p)
			if c.has("rows") {
				row = int(c.arg("rows").Index[p])
			}
			for n := range outputs {
				y.Row(int(p))[n] = float32(dot(x.Row(row), w.Row(e*outputs+n)) + float64(bias[e*outputs+n]))
			}
		}
	}
	return y, nil
}

func (c *call) combine() error {
	y, places, weights := c.arg("y"), c.arg("places"), c.arg("weights")
	z := newTensor(places.Rows, y.Cols)
	for m := range z.Rows {
		for i := range z.Cols {
			sum := 0.0
			for j := range places.Cols {
				weight := 1.0
				if c.has("weights") {
					weight = float64(weights.Row(m)[j])
				}
				sum += weight * float64(y.Row(int(places.Index[m*places.Cols+j]))[i])
			}
			z.Row(m)[i] = float32(sum)
		}
	}
	c.give(z)
	return nil
}
