package cuda_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// statePage is how many positions a page of these tests has.
const statePage = 16

// stateModel is a layer with made-up numbers: what tokens of sequences bring, and what moves states on.
type stateModel struct {
	channels, inputs, states int
	tokens                   []int // of each sequence, in all steps together
	columns                  map[string]int
	numbers                  map[string][][]float32 // by role: rows of each sequence's tokens
	weights                  map[string][]float32
}

func newStateModel(channels, inputs, states int, tokens ...int) *stateModel {
	m := &stateModel{channels: channels, inputs: inputs, states: states, tokens: tokens, numbers: map[string][][]float32{},
		columns: map[string]int{"x": channels, "dt": channels, "b": states, "c": states}}
	seed := uint64(1)
	for _, role := range []string{"x", "dt", "b", "c"} {
		for _, n := range tokens {
			seed++
			m.numbers[role] = append(m.numbers[role], randoms(n*m.columns[role], seed, map[string]float64{"dt": 3}[role]+1))
		}
	}
	m.weights = map[string][]float32{"w": randoms((inputs+1)*channels, 90, 0.5), "bias": randoms(channels, 91, 1), "a": randoms(states*channels, 92, 1), "skip": randoms(channels, 93, 1)}
	for i, a := range m.weights["a"] {
		m.weights["a"][i] = -float32(math.Abs(float64(a)))
	}
	return m
}

// kernel writes one of the two kernels for a target. apart is how far from a multiple of 16 bytes rows of b and c begin.
func (m *stateModel) kernel(t *testing.T, scan bool, target string, apart int64) *single {
	t.Helper()
	name, op, roles, vectors := "cuda.state_conv", "state.conv", []string{"x"}, []string{"w", "bias"}
	if scan {
		name, op, roles, vectors = "cuda.state_scan", "state.scan", []string{"x", "dt", "b", "c"}, []string{"a", "skip"}
	}
	s := newSingle(t, name, op, engine.Attr{Name: "layer", Int: 1})
	s.program.Buffers = make([]engine.Buffer, 0, 5)
	for _, role := range roles {
		b := s.buffer(role, dtype.F32, m.columns[role])
		if m.columns[role] == m.states {
			b.Offset = apart
		}
	}
	s.buffer("y", dtype.F32, m.channels)
	s.place("cache", engine.Operand{Kind: engine.OperandCache})
	s.program.Caches = []engine.Cache{{Name: "state", Kind: engine.State, Layers: 2, KVHeads: m.inputs + m.states, Dim: m.channels, Rank: m.inputs, DType: dtype.F32}}
	for _, role := range vectors {
		dims := []int64{int64(len(m.weights[role]) / m.channels), int64(m.channels)}
		if role == "bias" || role == "skip" {
			dims = dims[1:]
		}
		s.weight(role, dims...)
	}
	s.inputs("positions", "slots", "seq_start", "page_start", "pages")
	s.write(target)
	return s
}

// part are tokens of a sequence that a step takes in.
type part struct{ sequence, tokens int }

// stateRun takes sequences through steps.
type stateRun struct {
	*stateModel
	s     *single
	done  []int     // tokens of each sequence
	table [][]int32 // pages of each sequence
	cache []byte
	y     [][]float32 // of each sequence
}

// newRun gives sequences their pages, in an order that seed says.
func (m *stateModel) newRun(s *single, seed uint64) *stateRun {
	r := &stateRun{stateModel: m, s: s, done: make([]int, len(m.tokens)), y: make([][]float32, len(m.tokens)), table: make([][]int32, len(m.tokens))}
	pages := 0
	for _, n := range m.tokens {
		pages += (n + statePage - 1) / statePage
	}
	order := rand.New(rand.NewPCG(seed, 1)).Perm(pages)
	for i, n := range m.tokens {
		for range (n + statePage - 1) / statePage {
			r.table[i] = append(r.table[i], int32(order[0]))
			order = order[1:]
		}
	}
	r.cache = bytes.Repeat([]byte{0xff}, pages*r.pageBytes())
	return r
}

func (m *stateModel) pageBytes() int { return 4 * (m.inputs + m.states) * m.channels }

// step runs a step of parts, of which those without tokens are padding, as one token behind all others is.
func (r *stateRun) step(parts ...part) {
	r.s.t.Helper()
	m := newMemory(r.s.t)
	var positions, slots, pages []int32
	starts, pageStarts := []int32{0}, []int32{0}
	for _, p := range parts {
		for i := range p.tokens {
			at := r.done[p.sequence] + i
			positions = append(positions, int32(at))
			slots = append(slots, r.table[p.sequence][at/statePage]*statePage+int32(at%statePage))
		}
		if p.tokens > 0 {
			pages = append(pages, r.table[p.sequence]...)
		}
		starts, pageStarts = append(starts, int32(len(positions))), append(pageStarts, int32(len(pages)))
	}
	positions, slots = append(positions, 0), append(slots, -1)
	m.ints("positions", positions)
	m.ints("slots", slots)
	m.ints("seq_start", starts)
	m.ints("page_start", pageStarts)
	m.ints("pages", pages)
	var y matrix
	for i := range r.s.program.Buffers {
		b := &r.s.program.Buffers[i]
		rows := m.matrix(b, len(positions))
		if b.Name == "y" {
			y = rows
			continue
		}
		r.fill(rows, parts, starts)
	}
	for role, w := range r.weights {
		if r.s.has(role) {
			m.floats(role, w)
		}
	}
	copy(m.fresh("cache", len(r.cache)), r.cache)
	cache := m.operands[len(m.operands)-1].bytes
	r.s.run(m, len(positions), len(parts), statePage, r.pageBytes())
	r.cache = cache
	for b, p := range parts {
		for i := range p.tokens {
			for c := range r.channels {
				r.y[p.sequence] = append(r.y[p.sequence], y.at(int(starts[b])+i, c))
			}
		}
		r.done[p.sequence] += p.tokens
	}
}

// has tells whether the kernel has the role.
func (s *single) has(role string) bool {
	return slices.ContainsFunc(engine.FindKernel(s.launch.Kernel).Roles, func(r engine.Role) bool { return r.Name == role })
}

func (r *stateRun) fill(rows matrix, parts []part, starts []int32) {
	cols := r.columns[rows.Name]
	for b, p := range parts {
		for i := range p.tokens * cols {
			rows.set(int(starts[b])+i/cols, i%cols, r.numbers[rows.Name][p.sequence][r.done[p.sequence]*cols+i])
		}
	}
}

// kept are the rows that the kernel leaves, in each page of each sequence.
func (r *stateRun) kept() (all []uint32) {
	layer := layout.State{Rows: r.inputs + r.states, Channels: r.channels}
	first, n := 0, r.inputs
	if r.s.has("skip") {
		first, n = r.inputs, r.states
	}
	for _, table := range r.table {
		for _, page := range table {
			for block := range layer.Blocks() {
				for i := range n * layout.StateLanes {
					at := int(page)*r.pageBytes() + 4*(layer.At(block, first)+i)
					all = append(all, binary.LittleEndian.Uint32(r.cache[at:]))
				}
			}
		}
	}
	return all
}

// want is what channel d of a sequence's tokens gives.
func (m *stateModel) want(scan bool, sequence, d int) (y []float64) {
	at := func(role string, token, i int) float64 {
		return float64(m.numbers[role][sequence][token*m.columns[role]+i])
	}
	weight := func(role string, row int) float64 { return float64(m.weights[role][row*m.channels+d]) }
	state := make([]float64, m.states)
	for token := range m.tokens[sequence] {
		if !scan {
			sum := weight("bias", 0)
			for k := range m.inputs + 1 {
				if from := token - m.inputs + k; from >= 0 {
					sum += weight("w", k) * at("x", from, d)
				}
			}
			y = append(y, sum/(1+math.Exp(-sum)))
			continue
		}
		step, sum := math.Log1p(math.Exp(at("dt", token, d))), weight("skip", 0)*at("x", token, d)
		for n := range state {
			state[n] = math.Exp(step*weight("a", n))*state[n] + step*at("x", token, d)*at("b", token, n)
			sum += state[n] * at("c", token, n)
		}
		y = append(y, sum)
	}
	return y
}

// TestStates compares the convolution and the scan with plain arithmetic: of few and of many states, in whole vectors and not; and wants the bits, of what
// tokens give and of the state in every page, not to depend on how sequences are cut into steps or what a step has besides.
func TestStates(t *testing.T) {
	for i, c := range []struct {
		channels, inputs, states int
		apart                    int64
	}{{48, 3, 16, 0}, {16, 1, 5, 12}, {80, 18, 8, 16}, {32, 2, 40, 0}, {16, 4, 150, 0}} {
		for _, scan := range []bool{false, true} {
			target := []string{"sm80", "sm89", "sm90"}[i%3]
			t.Run(fmt.Sprintf("%v/%d-%d-%d", scan, c.channels, c.inputs, c.states), func(t *testing.T) {
				m := newStateModel(c.channels, c.inputs, c.states, 37, 1, 20)
				s := m.kernel(t, scan, target, c.apart)
				whole := m.newRun(s, 1)
				whole.step(part{0, 37}, part{1, 1}, part{2, 20}, part{})
				for b := range m.tokens {
					for d := range m.channels {
						for token, want := range m.want(scan, b, d) {
							got := float64(whole.y[b][token*m.channels+d])
							if !(math.Abs(got-want) <= 2e-5*(1+math.Abs(want))) {
								t.Fatalf("sequence %d token %d channel %d: %v, want %v", b, token, d, got, want)
							}
						}
					}
				}
				cut := m.newRun(s, 2)
				for _, step := range [][]part{{{2, 3}}, {{0, 1}, {2, 1}}, {{1, 1}, {0, 15}}, {{0, 5}, {}, {2, 13}}, {{2, 3}, {0, 16}}} {
					cut.step(step...)
				}
				for b := range m.tokens {
					if !slices.Equal(cut.y[b], whole.y[b]) {
						t.Errorf("sequence %d has other bits in other steps", b)
					}
				}
				if !slices.Equal(cut.kept(), whole.kept()) {
					t.Error("states in pages have other bits after other steps")
				}
			})
		}
	}
}
