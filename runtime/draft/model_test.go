package draft

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"llmc/engine"
)

// echo is a model whose next token depends on all tokens of a sequence as it reads them through the page table.
type echo struct {
	limits engine.Settings
	pages  int
	vocab  int32
	memory []int32
	steps  int
	failAt int
}

func (m *echo) Limits() (engine.Settings, int) { return m.limits, m.pages }
func (m *echo) CopyPage(_, _ int32) error      { return errors.New("not used") }
func (m *echo) Close() error                   { return nil }

func (m *echo) Step(st *engine.Step, out []engine.Sampled) error {
	if m.steps++; m.steps == m.failAt {
		return errors.New("out of order")
	}
	for i, slot := range st.Slots {
		m.memory[slot] = st.IDs[i]
	}
	if st.T() > m.limits.MaxStepTokens || st.B() > m.limits.MaxSequences || len(st.Rows) > m.limits.MaxRows {
		return errors.New("the step is over the limits")
	}
	for i, r := range st.Rows {
		b := 0
		for st.SeqStart[b+1] <= r.Token {
			b++
		}
		pages := st.Pages[st.PageStart[b]:st.PageStart[b+1]]
		var tokens []int32
		for p := range int(r.Position) {
			tokens = append(tokens, m.memory[int(pages[p/m.limits.PageSize])*m.limits.PageSize+p%m.limits.PageSize])
		}
		out[i].Token = follows(tokens, r.Sampling.Seed, m.vocab)
	}
	return nil
}

func follows(tokens []int32, seed uint64, vocab int32) int32 {
	h := seed
	for _, id := range tokens {
		h = (h ^ uint64(uint32(id)) + 1) * 0x9e3779b97f4a7c15
		h ^= h >> 31
	}
	return int32(h % uint64(vocab))
}

// text is a sequence that grows.
type text struct {
	tokens []int32
	seed   uint64
	guess  Guess
	place  Place
}

func (x *text) Tokens() []int32 { return x.tokens }
func (x *text) Sampling(guesses int) *engine.Sampling {
	return &engine.Sampling{Seed: x.seed + uint64(guesses), Logprobs: 3}
}

// wants is what the model has to guess.
func (x *text) wants(n int, vocab int32) (drafts []int32) {
	whole := slices.Clone(x.tokens)
	for i := range n {
		whole = append(whole, follows(whole, x.seed+uint64(i), vocab))
	}
	return whole[len(x.tokens):]
}

// TestGuessesAreTheModels wants guesses to be what the model says of each sequence alone, whatever is guessed together, accepted and refused, and evicted.
func TestGuessesAreTheModels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{1, 3, 16}).Draw(t, "page size")
		m := &echo{vocab: 50, pages: rapid.IntRange(1, 90).Draw(t, "pages")}
		m.limits = engine.Settings{MaxStepTokens: rapid.IntRange(1, 30).Draw(t, "step tokens"), MaxSequences: rapid.IntRange(1, 5).Draw(t, "sequences"),
			MaxRows: 5, MaxContext: 90, PageSize: size}
		m.memory = make([]int32, m.pages*size)
		var costs Costs
		clock := 0.0
		d, err := NewModel(m, int(m.vocab)-5, 80, &costs, func() float64 { clock++; return clock })
		if err != nil {
			t.Fatal(err)
		}
		texts := make([]*text, rapid.IntRange(1, 6).Draw(t, "texts"))
		for i := range texts {
			texts[i] = &text{seed: uint64(i % 2), tokens: rapid.SliceOfN(rapid.Int32Range(0, 2), 1, 40).Draw(t, "prompt")}
		}
		for range rapid.IntRange(1, 12).Draw(t, "rounds") {
			guessRound(t, d, texts)
		}
		for _, x := range texts {
			d.Forget(&x.place)
		}
		if d.pool.Held() != 0 {
			t.Fatalf("%d pages are held", d.pool.Held())
		}
	})
}

func guessRound(t *rapid.T, d *Model, texts []*text) {
	var round []*Guess
	var asked, others []*text
	for _, x := range texts {
		if rapid.IntRange(0, 3).Draw(t, "rests") > 0 {
			x.guess.Sequence, x.guess.Place, x.guess.Most = x, &x.place, rapid.IntRange(1, 6).Draw(t, "most")
			round, asked = append(round, &x.guess), append(asked, x)
		} else {
			others = append(others, x)
		}
	}
	evict := func() bool {
		for _, x := range others {
			if x.place.Holds() {
				d.Forget(&x.place)
				return true
			}
		}
		return false
	}
	if err := d.Guess(round, evict); err != nil {
		t.Fatal(err)
	}
	for _, x := range asked {
		got := x.guess.Drafts
		want := x.wants(len(got), 50)
		if !slices.Equal(got, want) || len(got) > x.guess.Most || slices.ContainsFunc(got, func(id int32) bool { return int(id) >= d.vocab }) {
			t.Fatalf("behind %v: guesses %v, want %v", x.tokens, got, want)
		}
		right := rapid.IntRange(0, len(got)).Draw(t, "right")
		x.tokens = append(x.tokens, got[:right]...)
		if grow := rapid.IntRange(0, 3).Draw(t, "more"); len(x.tokens) < 70 {
			for range grow {
				x.tokens = append(x.tokens, rapid.Int32Range(0, 2).Draw(t, "token"))
			}
		}
	}
}

// TestGuessesAreMade wants as many as were asked for where there is room, in as few steps as there can be.
func TestGuessesAreMade(t *testing.T) {
	m := &echo{vocab: 50, pages: 64, limits: engine.Settings{MaxStepTokens: 64, MaxSequences: 4, MaxRows: 4, MaxContext: 100, PageSize: 16}}
	m.memory = make([]int32, m.pages*16)
	var costs Costs
	clock := 0.0
	d, err := NewModel(m, 50, 100, &costs, func() float64 { clock++; return clock })
	if err != nil {
		t.Fatal(err)
	}
	a, b := &text{tokens: []int32{1, 2, 3}}, &text{tokens: []int32{4}}
	a.guess = Guess{Sequence: a, Place: &a.place, Most: 4}
	b.guess = Guess{Sequence: b, Place: &b.place, Most: 2}
	none := func() bool { return false }
	if err := d.Guess([]*Guess{&a.guess, &b.guess}, none); err != nil {
		t.Fatal(err)
	}
	if len(a.guess.Drafts) != 4 || len(b.guess.Drafts) != 2 || m.steps != 4 {
		t.Errorf("%d and %d guesses in %d steps", len(a.guess.Drafts), len(b.guess.Drafts), m.steps)
	}
	if costs.Of(1) == 0 {
		t.Error("costs were not learned")
	}
	a.tokens = append(append(a.tokens, a.guess.Drafts[:2]...), 9)
	if n := d.Behind(&a.place, a.tokens); n != 1 { // what was guessed rightly is there
		t.Errorf("%d tokens behind", n)
	}
	m.failAt = m.steps + 1
	if err := d.Guess([]*Guess{&a.guess}, none); err == nil {
		t.Error("a step failed and nobody noticed")
	}
}
