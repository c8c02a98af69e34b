package graph

import (
	"cmp"
	"math"
	"slices"
)

// View is a layout: ops as boxes with their centres, in units of the page at its full size. Time runs downwards.
type View struct {
	Width  int     `json:"width"`
	Height int     `json:"height"`
	Nodes  []Node  `json:"nodes"`
	Edges  []Edge  `json:"edges"`
	Frames []Frame `json:"frames,omitempty"` // around blocks
	Far    int     `json:"far,omitempty"`    // edges that are not drawn: they would reach too far, or into the repetition before
}

// Node is an op's box.
type Node struct {
	Op int `json:"op"`
	X  int `json:"x"`
	Y  int `json:"y"`
	W  int `json:"w"`
}

// Edge is a line through points x, y, x, y, from the op that gives a value to one that takes it.
type Edge struct {
	From   int   `json:"from"`
	To     int   `json:"to"`
	Points []int `json:"points"`
}

// Frame is a rectangle around the ops of a repetition.
type Frame struct {
	Segment int `json:"segment"`
	Repeat  int `json:"repeat"`
	X       int `json:"x"`
	Y       int `json:"y"`
	W       int `json:"w"`
	H       int `json:"h"`
}

const (
	rowPitch   = 64
	nodeHeight = 40
	gap        = 28  // between boxes of a rank
	dummyWidth = 10  // of an edge that passes a rank
	charWidth  = 7.2 // of the font that labels are drawn in
	maxReach   = 14  // ranks that an edge is drawn over
	framePad   = 14
	sweeps     = 6
)

// item is a box, or the place where an edge passes a rank.
type item struct {
	op         int // -1: an edge passes
	rank       int
	x, width   float64
	up, down   []*item
	barycenter float64
}

// layouter lays out a graph in layers (Sugiyama et al. 1981): ranks by longest paths, orders by barycenters, positions by least squares.
type layouter struct {
	g     *Graph
	fold  bool
	items map[int]*item // by op
	ranks [][]*item
	view  *View
	lines []line
	frame []Frame
}

type line struct {
	from, to int
	path     []*item
}

func (g *Graph) layout(fold bool) *View {
	l := &layouter{g: g, fold: fold, items: map[int]*item{}, view: &View{Nodes: []Node{}, Edges: []Edge{}}}
	l.rank()
	l.connect()
	l.order()
	l.place()
	l.write()
	return l.view
}

// stands is the op that is drawn for an op: itself, or of a folded block the one of the first repetition.
func (l *layouter) stands(op int) int {
	if !l.fold {
		return op
	}
	for _, s := range l.g.Segments {
		if op >= s.First && op < s.end() {
			return s.First + (op-s.First)%s.Period
		}
	}
	return op
}

// rank gives ops their ranks: repetition after repetition, in each the longest path from its beginning.
func (l *layouter) rank() {
	base := 0
	for number, s := range l.g.Segments {
		count := s.Count
		if l.fold {
			count = 1
		}
		for repeat := range count {
			first, highest := s.First+repeat*s.Period, base
			for i := first; i < first+s.Period; i++ {
				it := &item{op: i, rank: base, width: boxWidth(&l.g.Ops[i])}
				for _, a := range l.g.Ops[i].Args {
					if a.Op >= first && a.Op < i {
						it.rank = max(it.rank, l.items[a.Op].rank+1)
					}
				}
				highest = max(highest, it.rank)
				l.items[i] = it
				l.add(it)
			}
			if s.Count > 1 {
				l.frame = append(l.frame, Frame{Segment: number, Repeat: repeat, Y: base, H: highest})
			}
			base = highest + 1
		}
	}
}

func (l *layouter) add(it *item) {
	for len(l.ranks) <= it.rank {
		l.ranks = append(l.ranks, nil)
	}
	l.ranks[it.rank] = append(l.ranks[it.rank], it)
}

func boxWidth(op *Op) float64 {
	n := max(len(op.Kind), len(op.Label()))
	return min(260, max(64, float64(n)*charWidth+18))
}

// Label is the second line of an op's box: the end of its weight's name, or what it makes.
func (op *Op) Label() string {
	if len(op.Weights) == 0 {
		return clip(op.Type)
	}
	return clip(op.Weights[0])
}

// clip keeps the end of a name, where weights of a layer differ.
func clip(s string) string {
	const most = 30
	if r := []rune(s); len(r) > most {
		return "…" + string(r[len(r)-most+1:])
	}
	return s
}

// connect makes paths of items of all edges that are drawn.
func (l *layouter) connect() {
	type pair struct{ from, to int }
	seen := map[pair]bool{}
	for op := range l.g.Ops {
		to := l.items[op]
		if to == nil {
			continue // stands folded
		}
		for _, a := range l.g.Ops[op].Args {
			if a.Op < 0 || seen[pair{a.Op, op}] {
				continue
			}
			seen[pair{a.Op, op}] = true
			from := l.items[l.stands(a.Op)]
			if reach := to.rank - from.rank; reach < 1 || reach > maxReach {
				l.view.Far++
				continue
			}
			l.lines = append(l.lines, line{from.op, op, l.path(from, to)})
		}
	}
}

func (l *layouter) path(from, to *item) []*item {
	path := []*item{from}
	for rank := from.rank + 1; rank < to.rank; rank++ {
		d := &item{op: -1, rank: rank, width: dummyWidth}
		l.add(d)
		path = append(path, d)
	}
	path = append(path, to)
	for i := 1; i < len(path); i++ {
		path[i-1].down, path[i].up = append(path[i-1].down, path[i]), append(path[i].up, path[i-1])
	}
	return path
}

// order sorts each rank by where the items above, then below, lie.
func (l *layouter) order() {
	for sweep := range sweeps {
		for i := range l.ranks {
			rank, near := l.ranks[i], func(it *item) []*item { return it.up }
			if sweep%2 == 1 {
				rank, near = l.ranks[len(l.ranks)-1-i], func(it *item) []*item { return it.down }
			}
			for at, it := range rank {
				it.x = float64(at)
			}
			for _, it := range rank {
				it.barycenter = mean(near(it), it.x)
			}
			slices.SortStableFunc(rank, func(a, b *item) int { return cmp.Compare(a.barycenter, b.barycenter) })
			for at, it := range rank {
				it.x = float64(at) - float64(len(rank)-1)/2
			}
		}
	}
}

func mean(items []*item, otherwise float64) float64 {
	if len(items) == 0 {
		return otherwise
	}
	sum := 0.0
	for _, it := range items {
		sum += it.x
	}
	return sum / float64(len(items))
}

// place moves items towards their neighbours, as far as the order and the widths of their rank allow.
func (l *layouter) place() {
	for _, rank := range l.ranks {
		settle(rank)
	}
	for sweep := range sweeps {
		for i := range l.ranks {
			rank := l.ranks[i]
			if sweep%2 == 1 {
				rank = l.ranks[len(l.ranks)-1-i]
			}
			for _, it := range rank {
				near := append(slices.Clone(it.up), it.down...)
				it.barycenter = mean(near, it.x)
			}
			for _, it := range rank {
				it.x = it.barycenter
			}
			settle(rank)
		}
	}
}

// settle moves the items of a rank as little as possible, by least squares, so that none overlap: what each is moved by never decreases, which pooling of
// neighbours that violate it gives.
func settle(rank []*item) {
	type pool struct {
		sum float64
		n   int
	}
	var pools []pool
	offset := 0.0
	offsets := make([]float64, len(rank))
	for i, it := range rank {
		if i > 0 {
			offset += rank[i-1].width/2 + gap + it.width/2
		}
		offsets[i] = offset
		pools = append(pools, pool{it.x - offset, 1})
		for len(pools) > 1 {
			a, b := pools[len(pools)-2], pools[len(pools)-1]
			if a.sum/float64(a.n) <= b.sum/float64(b.n) {
				break
			}
			pools = append(pools[:len(pools)-2], pool{a.sum + b.sum, a.n + b.n})
		}
	}
	i := 0
	for _, p := range pools {
		for range p.n {
			rank[i].x = p.sum/float64(p.n) + offsets[i]
			i++
		}
	}
}

// write puts everything into the view, moved to where no coordinate is negative.
func (l *layouter) write() {
	left, right := math.Inf(1), math.Inf(-1)
	for _, rank := range l.ranks {
		for _, it := range rank {
			left, right = min(left, it.x-it.width/2), max(right, it.x+it.width/2)
		}
	}
	const margin = 2 * framePad
	x := func(it *item) int { return int(math.Round(it.x-left)) + margin }
	y := func(rank int) int { return rank*rowPitch + nodeHeight/2 + margin }
	v := l.view
	v.Width, v.Height = int(right-left)+2*margin, y(len(l.ranks)-1)+nodeHeight/2+margin
	for op := range l.g.Ops {
		if it := l.items[op]; it != nil {
			v.Nodes = append(v.Nodes, Node{op, x(it), y(it.rank), int(it.width)})
		}
	}
	for _, line := range l.lines {
		e := Edge{From: line.from, To: line.to}
		for i, it := range line.path {
			at := y(it.rank)
			switch i {
			case 0:
				at += nodeHeight / 2
			case len(line.path) - 1:
				at -= nodeHeight / 2
			}
			e.Points = append(e.Points, x(it), at)
		}
		v.Edges = append(v.Edges, e)
	}
	for _, f := range l.frame {
		v.Frames = append(v.Frames, l.around(f, x, y))
	}
}

// around is a frame's rectangle; f has its first and last rank.
func (l *layouter) around(f Frame, x func(*item) int, y func(int) int) Frame {
	lo, hi := math.MaxInt, 0
	for _, rank := range l.ranks[f.Y : f.H+1] {
		for _, it := range rank {
			if it.op >= 0 {
				lo, hi = min(lo, x(it)-int(it.width)/2), max(hi, x(it)+int(it.width)/2)
			}
		}
	}
	f.X, f.W = lo-framePad, hi-lo+2*framePad
	f.Y, f.H = y(f.Y)-nodeHeight/2-framePad/2, (f.H-f.Y)*rowPitch+nodeHeight+framePad
	return f
}
