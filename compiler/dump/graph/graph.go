package graph

import (
	"fmt"
	"strings"

	"llmc/ir"
)

// MaxOps bounds what is laid out; functions of more ops get a graph without views.
const MaxOps = 12000

// maxUnfolded bounds the view in which every block is drawn.
const maxUnfolded = 4000

// Graph is one function at one stage of a build.
type Graph struct {
	Stage    string    `json:"stage"` // "import" or "final", perhaps with a target
	Func     string    `json:"func"`
	Ops      []Op      `json:"ops"` // in the order of execution
	Segments []Segment `json:"segments"`
	Folded   *View     `json:"folded"`             // each block once; nil: too large
	Unfolded *View     `json:"unfolded,omitempty"` // every block; nil: nothing is folded, or too large
}

// Op is one operation.
type Op struct {
	Kind    string   `json:"kind,omitempty"`
	Kernel  string   `json:"kernel,omitempty"`
	Name    string   `json:"name,omitempty"` // of its first result
	Type    string   `json:"type,omitempty"`
	Attrs   string   `json:"attrs,omitempty"`
	Weights []string `json:"weights,omitempty"`
	Args    []Arg    `json:"args,omitempty"`
	Sync    bool     `json:"sync,omitempty"`
}

// Arg is an operand that is no weight.
type Arg struct {
	Role string `json:"role"`
	Op   int    `json:"op"` // that gives it, -1: the function's caller
	Name string `json:"name"`
}

// Segment is a run of ops: Count repetitions of Period ops.
type Segment struct {
	First  int `json:"first"`
	Period int `json:"period"`
	Count  int `json:"count"`
}

func (s Segment) end() int { return s.First + s.Period*s.Count }

// New reads the graph off a function.
func New(stage string, f *ir.Func) *Graph {
	f.Number()
	g := &Graph{Stage: stage, Func: f.Name, Ops: []Op{}}
	at := map[*ir.Op]int{}
	for i, op := range f.Ops {
		at[op] = i
		g.Ops = append(g.Ops, newOp(op, at))
	}
	if len(f.Ops) == 0 || len(f.Ops) > MaxOps {
		return g
	}
	g.Segments = Segments(signatures(f))
	g.Folded = g.layout(true)
	for _, s := range g.Segments {
		if s.Count > 1 && len(g.Ops) <= maxUnfolded {
			g.Unfolded = g.layout(false)
			break
		}
	}
	return g
}

func newOp(op *ir.Op, at map[*ir.Op]int) Op {
	out := Op{Kind: op.Kind.Name, Kernel: op.Kernel, Sync: op.Sync}
	if len(op.Results) > 0 {
		out.Name, out.Type = valueName(op.Results[0]), op.Results[0].Type.String()
	}
	var attrs []string
	for _, a := range op.Attrs {
		attrs = append(attrs, fmt.Sprintf("%s=%v", a.Name, a.Val))
	}
	out.Attrs = strings.Join(attrs, " ")
	for i, v := range op.Args {
		switch {
		case v == nil:
		case v.Weight != nil:
			out.Weights = append(out.Weights, v.Weight.Name)
		case v.Def != nil:
			out.Args = append(out.Args, Arg{op.Kind.Args[i].Name, at[v.Def], valueName(v)})
		default:
			out.Args = append(out.Args, Arg{op.Kind.Args[i].Name, -1, valueName(v)})
		}
	}
	return out
}

func valueName(v *ir.Value) string {
	if v.Name != "" {
		return v.Name
	}
	return fmt.Sprint(v.ID)
}

// signatures numbers ops by what they are, apart from which layer's: ops that could be the same one of two blocks have the same number.
func signatures(f *ir.Func) []int {
	numbers, out := map[string]int{}, make([]int, len(f.Ops))
	for i, op := range f.Ops {
		var s strings.Builder
		s.WriteString(op.Kind.Name + "|" + op.Kernel)
		for _, r := range op.Results {
			s.WriteString("|" + r.Type.String())
		}
		for _, v := range op.Args {
			switch {
			case v == nil:
				s.WriteString("|_")
			case v.Weight != nil:
				s.WriteString("|w" + v.Type.String())
			case v.Def != nil, v.Type.IsToken(): // the first layer takes a cache from the caller, others from the layer before
				s.WriteString("|v" + v.Type.String())
			default:
				s.WriteString("|p" + valueName(v))
			}
		}
		for _, a := range op.Attrs {
			if a.Name != "layer" {
				fmt.Fprintf(&s, "|%s=%v", a.Name, a.Val)
			}
		}
		n, known := numbers[s.String()]
		if !known {
			n = len(numbers)
			numbers[s.String()] = n
		}
		out[i] = n
	}
	return out
}

// Bounds on what is looked for as a block.
const (
	minPeriod = 3
	maxPeriod = 400
	maxLooks  = 64 // runs that are searched: of what a model has there are a few
)

// Segments cuts a list of ops at its longest repetition, and what is before and behind likewise.
func Segments(sigs []int) []Segment {
	looked := 0
	var cut func(lo, hi int) []Segment
	cut = func(lo, hi int) []Segment {
		if lo == hi {
			return nil
		}
		var best Segment
		if looked++; looked <= maxLooks {
			best = longest(sigs[lo:hi])
		}
		if best.Count < 2 {
			return []Segment{{lo, hi - lo, 1}}
		}
		best.First += lo
		return append(append(cut(lo, best.First), best), cut(best.end(), hi)...)
	}
	return cut(0, len(sigs))
}

// longest finds the repetition that covers most ops, of these the one of the shortest block, of these the first.
func longest(sigs []int) Segment {
	var best Segment
	for period := minPeriod; period <= min(maxPeriod, len(sigs)/2); period++ {
		run := 0
		for i := len(sigs) - period - 1; i >= 0; i-- {
			if sigs[i] != sigs[i+period] {
				run = 0
				continue
			}
			run++
			s := Segment{i, period, run/period + 1}
			more := s.Period*s.Count - best.Period*best.Count
			if s.Count > 1 && (more > 0 || more == 0 && period == best.Period) {
				best = s
			}
		}
	}
	return best
}

// Brief leaves out what only the unfolded view shows: ops of later repetitions keep their places alone.
func (g *Graph) Brief() *Graph {
	g.Unfolded = nil
	for _, s := range g.Segments {
		for i := s.First + s.Period; i < s.end(); i++ {
			g.Ops[i] = Op{Weights: g.Ops[i].Weights}
		}
	}
	return g
}
