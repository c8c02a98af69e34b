package partition

import (
	"fmt"

	"llmc/engine"
)

// Plan decides what each rank does of a program. Rank 0 alone reads its results, such as logits.
func Plan(p *engine.Program, weights Weights, ranks Ranks) (*Program, error) {
	if err := ranks.check(); err != nil {
		return nil, err
	}
	a := &analysis{p: p, weights: weights, ranks: ranks, wants: map[int][]want{}, out: &Program{Ranks: ranks, Launches: make([]Launch, len(p.Launches))}}
	for i := range p.Buffers {
		n, err := p.Buffers[i].RowBytes()
		if err != nil {
			return nil, fmt.Errorf("buffer %s: %w", p.Buffers[i].Name, err)
		}
		a.rows = append(a.rows, int(n))
	}
	var err error
	if a.out.Stages, err = stages(p, weights, ranks.PP); err != nil {
		return nil, err
	}
	heads, err := cacheHeads(p, ranks.TP)
	if err != nil {
		return nil, err
	}
	for r := range ranks.Size() {
		a.out.Heads = append(a.out.Heads, heads[r%ranks.TP])
		a.out.Layers = append(a.out.Layers, a.layers(r/ranks.TP))
	}
	if p.Func == engine.StepFunc {
		a.add(want{p.Logits, 0, need{bytes: Of(0, a.rows[p.Logits])}})
	}
	for _, r := range p.Results {
		a.add(want{r.Buffer, 0, need{bytes: Of(0, a.rows[r.Buffer])}})
	}
	for i := len(p.Launches) - 1; i >= 0; i-- {
		if err := a.launch(i); err != nil {
			return nil, fmt.Errorf("launch %d (%s, %s): %w", i, p.Launches[i].Label, p.Launches[i].Kernel, err)
		}
	}
	return a.out, nil
}

// layers tells which layers of each cache a stage has.
func (a *analysis) layers(stage int) [][]bool {
	has := make([][]bool, len(a.p.Caches))
	for c := range has {
		has[c] = make([]bool, a.p.Caches[c].Layers)
	}
	for i := range a.p.Launches {
		l := &a.p.Launches[i]
		if c := cacheOf(l); c >= 0 && a.out.Stages[i] == stage {
			has[c][l.Int("layer", 0)] = true
		}
	}
	return has
}

// site is a launch while it is decided on.
type site struct {
	*analysis
	l       *engine.Launch
	k       *engine.Kernel
	i       int
	ranks   []int // of its stage
	results []int // buffers
	needs   [][]need
	own     [][]need // what each rank computes of each result
	part    []Part
}

func (a *analysis) launch(i int) error {
	l := &a.p.Launches[i]
	s := &site{analysis: a, l: l, k: engine.FindKernel(l.Kernel), i: i, ranks: a.ranks.stage(a.out.Stages[i]), part: make([]Part, a.ranks.Size())}
	for r := range s.part {
		s.part[r].Skip = true
	}
	for n, role := range s.k.Roles {
		if o := l.Operands[n]; role.Writes && o.Kind == engine.OperandBuffer {
			s.results = append(s.results, o.Index)
			s.needs, s.own = append(s.needs, a.take(o.Index)), append(s.own, make([]need, a.ranks.Size()))
		}
	}
	split := false
	if block := columnwise[l.Kernel]; block != nil {
		split = s.columns(block(s))
	} else if rule := rules[l.Kernel]; rule != nil {
		split = rule(s)
	}
	if !split {
		s.whole()
	}
	a.out.Launches[i].Parts = s.part
	return s.exchange()
}

// buffer returns the buffer in a role, -1 if there is none.
func (s *site) buffer(role string) int {
	if o := s.k.Operand(s.l, role); o.Kind == engine.OperandBuffer {
		return o.Index
	}
	return -1
}

// read says that a rank reads all of the buffer in a role.
func (s *site) read(role string, rank int) {
	if b := s.buffer(role); b >= 0 {
		s.add(want{b, rank, need{bytes: Of(0, s.rows[b])}})
	}
}

// readColumns says that a rank reads some columns of the buffer in a role.
func (s *site) readColumns(role string, rank int, columns Set) {
	if b := s.buffer(role); b >= 0 {
		s.add(want{b, rank, need{bytes: s.bytesOf(b, columns)}})
	}
}

// readAll says that a rank reads everything that the launch reads.
func (s *site) readAll(rank int) {
	for n, role := range s.k.Roles {
		if o := s.l.Operands[n]; o.Kind == engine.OperandBuffer && !role.Writes {
			s.read(role.Name, rank)
		}
	}
}

// writesCache tells whether the launch does more than its results say.
func (s *site) writesCache() bool {
	for n, role := range s.k.Roles {
		if role.Writes && s.l.Operands[n].Kind == engine.OperandCache {
			return true
		}
	}
	return false
}

// whole has each rank of the stage that needs a result compute all of it.
func (s *site) whole() {
	for _, r := range s.ranks {
		needed := s.writesCache()
		for i := range s.results {
			needed = needed || !s.needs[i][r].empty()
		}
		for i := range s.results { // another stage reads it: the stage's first rank tells it, at least
			needed = needed || r == s.ranks[0] && s.wanted(i)
		}
		if needed {
			s.part[r] = Part{}
			s.readAll(r)
			s.owns(r)
		}
	}
}

// wanted tells whether any rank needs a result.
func (s *site) wanted(result int) bool {
	for _, n := range s.needs[result] {
		if !n.empty() {
			return true
		}
	}
	return false
}

// owns says that a rank computes all of each result.
func (s *site) owns(rank int) {
	for i, b := range s.results {
		s.own[i][rank] = need{bytes: Of(0, s.rows[b])}
	}
}

// exchange gives each rank what it needs and has not computed: from the rank of the same number in the launch's stage where that has it.
func (s *site) exchange() error {
	for i, b := range s.results {
		for to, n := range s.needs[i] {
			own := s.own[i][to]
			switch {
			case n.empty() || own.offsets == 0 && len(n.bytes.Minus(own.bytes)) == 0, own.offsets != 0 && own.offsets == n.offsets:
				continue
			}
			if err := s.moves(i, b, to, n.bytes.Minus(s.complete(i, to))); err != nil {
				return err
			}
		}
	}
	return nil
}

// complete is what a rank has of all rows of a result.
func (s *site) complete(result, rank int) Set {
	if n := s.own[result][rank]; n.offsets == 0 {
		return n.bytes
	}
	return nil
}

func (s *site) moves(result, buffer, to int, missing Set) error {
	moves, places := &s.out.Launches[s.i].Moves, false
	for i := range s.ranks {
		from := s.ranks[(to+i)%s.out.TP]
		if part := s.part[from]; part.Experts != nil {
			if places = true; from != to && part.Experts.Len() > 0 {
				*moves = append(*moves, Move{From: from, To: to, Buffer: buffer, Bytes: missing, Experts: part.Experts, Offsets: part.Offsets})
			}
			continue
		}
		if piece := missing.Intersect(s.own[result][from].bytes); from != to && len(piece) > 0 {
			*moves = append(*moves, Move{From: from, To: to, Buffer: buffer, Bytes: piece})
			missing = missing.Minus(piece)
		}
	}
	if len(missing) > 0 && !places {
		return fmt.Errorf("no rank computes bytes %v of %s, which rank %d reads", missing, s.p.Buffers[buffer].Name, to)
	}
	return nil
}
