package cpu

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"llmc/engine"
	"llmc/runtime/device/cpu/kernel"
)

// route lets each row choose experts. Scores are those of the reference interpreter up to the rounding of f32; of equal ones the first wins.
type route struct {
	set              *kernel.Set
	logits, experts  view
	weights          view
	bias             []float32 // of the choice; nil: none
	sigmoid          bool
	normalize        bool
	byOrder          bool // the order of scores is that of logits, which rounding does not make equal
	topTwo           bool // a group counts as its two largest, not its largest
	groups, topGroup int
	scale            float32
	rows             rowsOf
	part             []routing // per worker
}

// routing is one worker's memory of a row.
type routing struct {
	scores, choice []float32
	groups         []float32 // scores of groups
	best           []int32   // groups
}

func bindRoute(b *binding) (runner, error) {
	v, err := b.views("logits", "experts", "weights")
	if err != nil {
		return nil, err
	}
	r := &route{set: b.m.set, logits: v[0], experts: v[1], weights: v[2], rows: rowsOfBuffer(b, "weights")}
	if b.has("bias") {
		if r.bias, err = b.vector("bias"); err != nil {
			return nil, err
		}
		if len(r.bias) != r.logits.cols {
			return nil, fmt.Errorf("bias of %d for %d experts", len(r.bias), r.logits.cols)
		}
	}
	return r, r.prepare(b.launch, b.m.settings.Threads)
}

// prepare reads how rows choose.
func (r *route) prepare(l *engine.Launch, threads int) error {
	r.sigmoid, r.normalize, r.topTwo = l.Text("score", "") == "sigmoid", l.Int("normalize", 0) == 1, l.Text("group_score", "") == "top2"
	r.groups, r.topGroup, r.scale = int(l.Int("groups", 1)), int(l.Int("top_groups", 1)), float32(l.Float("scale", 1))
	r.byOrder = r.bias == nil && !r.topTwo
	n, k := r.logits.cols, r.experts.cols
	if r.weights.cols != k || r.groups < 1 || n%r.groups != 0 || r.topGroup < 1 || r.topGroup > r.groups || k > n/r.groups*r.topGroup || r.topTwo && n/r.groups < 2 {
		return fmt.Errorf("top %d of %d experts in %d of %d groups", k, n, r.topGroup, r.groups)
	}
	for range threads {
		r.part = append(r.part, routing{make([]float32, n), make([]float32, n), make([]float32, r.groups), make([]int32, r.topGroup)})
	}
	return nil
}

func (r *route) run(s *state, worker int) {
	lo, hi := share(r.rows.count(s), worker, s.workers)
	p := &r.part[worker]
	for m := lo; m < hi; m++ {
		logits := r.logits.row(m)
		r.score(p, logits)
		chosen := r.experts.i32()[m*r.experts.cols:][:r.experts.cols]
		r.choose(p, chosen)
		weights, sum := r.weights.row(m), float32(1)
		if r.normalize {
			sum = 0
			for _, e := range chosen {
				sum += p.scores[e]
			}
		}
		for j, e := range chosen {
			weights[j] = p.scores[e] / sum * r.scale
		}
	}
}

// score fills in the scores of a row's experts, and what they are chosen by.
func (r *route) score(p *routing, logits []float32) {
	if r.sigmoid {
		for i, l := range logits {
			p.scores[i] = float32(1 / (1 + math.Exp(-float64(l))))
		}
	} else {
		most, sum := slices.Max(logits), 0.0
		for i, l := range logits {
			p.scores[i] = l - most
		}
		r.set.Exp(p.scores, p.scores)
		for _, e := range p.scores {
			sum += float64(e)
		}
		for i, e := range p.scores {
			p.scores[i] = float32(float64(e) / sum)
		}
	}
	switch {
	case r.byOrder:
		copy(p.choice, logits)
	case r.bias == nil:
		copy(p.choice, p.scores)
	default:
		for i, score := range p.scores {
			p.choice[i] = score + r.bias[i]
		}
	}
}

// choose writes the experts of a row, the best one first.
func (r *route) choose(p *routing, chosen []int32) {
	if r.topGroup == r.groups {
		best(chosen, p.choice, nil, 0)
		return
	}
	size := len(p.choice) / r.groups
	for g := range p.groups {
		group := p.choice[g*size:][:size]
		p.groups[g] = slices.Max(group)
		if r.topTwo {
			p.groups[g] = twoLargest(group)
		}
	}
	best(p.best, p.groups, nil, 0)
	best(chosen, p.choice, p.best, size)
}

// twoLargest is the sum of the two largest numbers.
func twoLargest(x []float32) float32 {
	first, second := x[0], float32(math.Inf(-1))
	for _, v := range x[1:] {
		if v > first {
			first, second = v, first
		} else if v > second {
			second = v
		}
	}
	return first + second
}

// best writes the indices of the largest values, the largest one first and of equals the first, of those in groups of size, where there are groups. What is
// no number is less than any.
func best(to []int32, values []float32, groups []int32, size int) {
	n := 0
	for i, v := range values {
		if groups != nil && !slices.Contains(groups, int32(i/size)) {
			continue
		}
		at := n
		for at > 0 && (v > values[to[at-1]] || values[to[at-1]] != values[to[at-1]] && v == v) {
			at--
		}
		if at == len(to) {
			continue
		}
		n = min(n+1, len(to))
		copy(to[at+1:n], to[at:n-1])
		to[at] = int32(i)
	}
}

// dispatch sorts rows by the experts that they are sent to. It is one worker's, since it is a few steps for each place.
type dispatch struct {
	experts, rows, places, offsets view
	count                          rowsOf // rows
}

func bindDispatch(b *binding) (runner, error) {
	v, err := b.views("experts", "rows", "places", "offsets")
	if err != nil {
		return nil, err
	}
	d := &dispatch{v[0], v[1], v[2], v[3], rowsOfBuffer(b, "places")}
	if d.experts.cols != d.places.cols || d.rows.rows < d.places.rows*d.places.cols || d.offsets.rows < 2 {
		return nil, errors.New("rows, places and offsets of different sizes")
	}
	return d, nil
}

func (d *dispatch) run(s *state, worker int) {
	if worker != 0 {
		return
	}
	k := d.experts.cols
	experts, rows := d.experts.i32()[:d.count.count(s)*k], d.rows.i32()
	places, offsets := d.places.i32(), d.offsets.i32()
	clear(offsets)
	for _, e := range experts {
		offsets[e+1]++
	}
	for e := range len(offsets) - 1 {
		offsets[e+1] += offsets[e]
	}
	for i, e := range experts { // offsets[e] runs through the places of e
		p := offsets[e]
		places[i], rows[p] = p, int32(i/k)
		offsets[e] = p + 1
	}
	copy(offsets[1:], offsets[:len(offsets)-1]) // where one ended the next begins
	offsets[0] = 0
}

// combine adds up what the experts of each row give. Workers share rows, and parts of few rows.
type combine struct {
	set                *kernel.Set
	y, places, weights view
	z                  view
	rows               rowsOf
	ones               []float32   // in place of weights, where there are none
	part               [][]float32 // per worker
}

func ones(n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = 1
	}
	return s
}

// combinedAtOnce is how many columns a worker adds up at a time.
const combinedAtOnce = 512

func bindCombine(b *binding) (runner, error) {
	v, err := b.views("y", "places", "z")
	if err != nil {
		return nil, err
	}
	c := &combine{set: b.m.set, y: v[0], places: v[1], z: v[2], rows: rowsOfBuffer(b, "z"), ones: ones(v[1].cols)}
	if b.has("weights") {
		if c.weights, err = b.view("weights"); err != nil {
			return nil, err
		}
		c.ones = nil
	}
	if c.y.cols != c.z.cols || c.ones == nil && c.places.cols != c.weights.cols {
		return nil, errors.New("operands of different widths")
	}
	for range b.m.settings.Threads {
		c.part = append(c.part, make([]float32, min(combinedAtOnce, c.z.cols)))
	}
	return c, nil
}

func (c *combine) run(s *state, worker int) {
	pieces := (c.z.cols + combinedAtOnce - 1) / combinedAtOnce
	lo, hi := share(c.rows.count(s)*pieces, worker, s.workers)
	for i := lo; i < hi; i++ {
		row, first := i/pieces, i%pieces*combinedAtOnce
		last := min(first+combinedAtOnce, c.z.cols)
		weights, z := c.ones, c.z.row(row)[first:last]
		if weights == nil {
			weights = c.weights.row(row)
		}
		for j, p := range c.places.i32()[row*c.places.cols:][:c.places.cols] {
			y := c.y.row(int(p))[first:last]
			if j == 0 {
				c.set.Scale(z, y, weights[j])
				continue
			}
			part := c.part[worker][:len(z)]
			c.set.Scale(part, y, weights[j])
			c.set.Add(z, z, part)
		}
	}
}

// scaleRows multiplies each row with a number of its own.
type scaleRows struct {
	set      *kernel.Set
	x, by, y view
	rows     rowsOf
}

func bindScaleRows(b *binding) (runner, error) {
	v, err := b.views("x", "by", "y")
	if err != nil {
		return nil, err
	}
	if v[0].cols != v[2].cols || v[1].cols != 1 {
		return nil, errors.New("operands of different widths")
	}
	return &scaleRows{b.m.set, v[0], v[1], v[2], rowsOfBuffer(b, "y")}, nil
}

func (c *scaleRows) run(s *state, worker int) {
	lo, hi := share(c.rows.count(s), worker, s.workers)
	for r := lo; r < hi; r++ {
		c.set.Scale(c.y.row(r), c.x.row(r), c.by.row(r)[0])
	}
}
