package engine

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// decodeFixture decodes a program against the fixture's weights, as Open does.
func decodeFixture(t testing.TB, p *Program) error {
	t.Helper()
	c, err := ProgramContent(p)
	if err != nil {
		t.Fatal(err)
	}
	name := "step/x86-64-v3"
	if p.Func == "embed" {
		name = "embed/x86-64-v3"
	}
	_, err = decodeNamed(name, c.Data)
	return err
}

func decodeFixtureBytes(data []byte) (*Program, error) { return decodeNamed("step/x86-64-v3", data) }

func decodeNamed(name string, data []byte) (*Program, error) {
	h := Header{Weights: append(fixtureWeights(),
		WeightEntry{Name: "zeros", Layout: "u4z.g32", Shape: []int64{64, 64}},
		WeightEntry{Name: "small", Layout: "f32", Shape: []int64{32, 64}}, WeightEntry{Name: "frequencies", DType: "f32", Shape: []int64{2, 8}})}
	info := fixtureInfo()
	return decodeProgram(name, data, h.weightIndex(), &info)
}

// programChange is one change of the fixture's program, and what the error then says; "" for none.
type programChange struct {
	name   string
	change func(p *Program)
	text   string
}

// tableChanges are of slots, buffers, weights, caches and logits.
var tableChanges = []programChange{
	{"nothing", func(p *Program) {}, ""},
	{"other name", func(p *Program) { p.Func = "encode" }, "says that it is encode/x86-64-v3"},
	{"other target", func(p *Program) { p.Target = "x86-64-v4" }, "says that it is step/x86-64-v4"},
	{"slot negative", func(p *Program) { p.Slots[0] = sym.Const(-1) }, "slot 0"},
	{"slot coefficient negative", func(p *Program) { p.Slots[0].Coef[sym.B] = -1 }, "slot 0"},
	{"slot huge", func(p *Program) { p.Slots[0].Coef[sym.T] = math.MaxInt64 }, "slot 0"},
	{"no such slot", func(p *Program) { p.Buffers[0].Slot = 4 }, "buffer 0 x: slot 4 of 4"},
	{"slot index negative", func(p *Program) { p.Buffers[0].Slot = -1 }, "buffer 0 x: slot -1 of 4"},
	{"slot too small", func(p *Program) { p.Slots[0].Coef[sym.T]-- }, "past the end"},
	{"slot of another symbol", func(p *Program) { p.Slots[0] = sym.Of(sym.B).Scale(1 << 20) }, "past the end"},
	{"offset past the slot", func(p *Program) { p.Buffers[0].Offset = 4 }, "past the end"},
	{"view inside", func(p *Program) { p.Buffers[5].Offset = 64; p.Slots[2] = p.Slots[2].Add(sym.Const(64)) }, ""},
	{"offset negative", func(p *Program) { p.Buffers[0].Offset = -256 }, "offset -256"},
	{"offset misaligned", func(p *Program) { p.Buffers[5].Offset = 2; p.Slots[2].K = 64 }, "multiples of 4"},
	{"quantized rows misaligned", func(p *Program) { p.Buffers[2].Stride = 240 }, "multiples of 64"},
	{"stride below the row", func(p *Program) { p.Buffers[0].Stride = 252 }, "rows of 256 bytes"},
	{"stride negative", func(p *Program) { p.Buffers[0].Stride = -256 }, "stride -256"},
	{"stride huge", func(p *Program) { p.Buffers[0].Stride = math.MaxInt64 }, "stride"},
	{"quantized row in the stride of its codes", func(p *Program) { p.Buffers[2].Stride = 64 }, "rows of 144 bytes"},
	{"columns", func(p *Program) { p.Buffers[0].Cols = 0 }, "0 columns"},
	{"columns huge", func(p *Program) { p.Buffers[0].Cols = math.MaxInt64 }, "columns"},
	{"rows negative", func(p *Program) { p.Buffers[0].Rows = sym.Const(-5) }, "size -5"},
	{"rows huge", func(p *Program) { p.Buffers[0].Rows.K = math.MaxInt64 }, "size T+9223372036854775807"},
	{"element type of half bytes", func(p *Program) { p.Buffers[0].DType = dtype.U4 }, "element type"},
	{"no element type", func(p *Program) { p.Buffers[0].DType = dtype.Invalid }, "element type"},
	{"unknown format", func(p *Program) { p.Buffers[2].Format = "q9" }, "unknown activation format"},
	{"format of a plain buffer", func(p *Program) { p.Buffers[0].Format = "f32" }, "only quantized rows have a format"},
	{"format and element type", func(p *Program) { p.Buffers[2].DType = dtype.I8 }, "only quantized rows have a format"},
	{"group", func(p *Program) { p.Buffers[2].Group = 7 }, "group of 7"},
	{"group negative", func(p *Program) { p.Buffers[2].Group = -64 }, "group of -64"},
	{"unknown weight", func(p *Program) { p.Weights[1] = "nrom" }, `no weight "nrom"`},
	{"cache kind", func(p *Program) { p.Caches[0].Kind = "flat" }, `unknown kind "flat"`},
	{"cache type", func(p *Program) { p.Caches[0].DType = dtype.I32 }, "KV cache of i32"},
	{"cache layers", func(p *Program) { p.Caches[0].Layers = -1 }, "-1 layers"},
	{"cache heads", func(p *Program) { p.Caches[0].KVHeads = math.MaxInt32 }, "heads of 16"},
	{"logits out of range", func(p *Program) { p.Logits = 10 }, "logits are buffer 10 of 10"},
	{"results beside logits", func(p *Program) { p.Results = []Result{{"x", 0}} }, "1 results beside the logits of function step"},
	{"no results", func(p *Program) { p.Func = "embed" }, "function embed gives 0 results"},
	{"result out of range", func(p *Program) { p.Func, p.Results = "embed", []Result{{"x", 10}} }, "result x is buffer 10 of 10"},
	{"result negative", func(p *Program) { p.Func, p.Results = "embed", []Result{{"x", -1}} }, "result x is buffer -1 of 10"},
	{"result of codes", func(p *Program) { p.Func, p.Results = "embed", []Result{{"x", 2}} }, "result x is q16t, not f32"},
	{"result without a name", func(p *Program) { p.Func, p.Results = "embed", []Result{{"", 0}} }, "result 0 has no name of its own"},
	{"result twice", func(p *Program) { p.Func, p.Results = "embed", []Result{{"x", 0}, {"x", 0}} }, "result 1 has no name of its own"},
	{"results", func(p *Program) { p.Func, p.Results = "embed", []Result{{"x", 0}, {"y", 6}} }, ""},
	{"logits of another shape", func(p *Program) { p.Logits = 6 }, "logits are f32[R,64], not f32[R,48]"},
}

// launchChanges are of launches.
var launchChanges = []programChange{
	{"unknown kernel", func(p *Program) { p.Launches[0].Kernel = "cpu.dance" }, "launch 0 cpu.dance (embed): this release has no such kernel"},
	{"operand missing", func(p *Program) { p.Launches[0].Operands = p.Launches[0].Operands[:2] }, "operand y: it is a none, not a buffer"},
	{"operand too much", func(p *Program) { p.Launches[0].Operands = append(p.Launches[0].Operands, Operand{}) }, "4 operands; the kernel has 3"},
	{"operand absent", func(p *Program) { p.Launches[0].Operands[2] = Operand{} }, "operand y: it is a none, not a buffer"},
	{"absent with index", func(p *Program) { p.Launches[3].Operands[2].Index = 9 }, "index 9 of an absent operand"},
	{"operand of another kind", func(p *Program) { p.Launches[0].Operands[2].Kind = OperandCache }, "it is a cache, not a buffer"},
	{"buffer out of range", func(p *Program) { p.Launches[0].Operands[2].Index = 10 }, "index 10 of 10"},
	{"buffer negative", func(p *Program) { p.Launches[0].Operands[2].Index = -1 }, "index -1 of 10"},
	{"weight out of range", func(p *Program) { p.Launches[0].Operands[0].Index = 4 }, "index 4 of 4"},
	{"cache out of range", func(p *Program) { p.Launches[4].Operands[5].Index = 1 }, "index 1 of 1"},
	{"input out of range", func(p *Program) { p.Launches[0].Operands[1].Index = 99 }, "index 99 of 22"},
	{"another input", func(p *Program) { p.Launches[0].Operands[1].Index = 1 }, "input positions"},
	{"buffer of another type", func(p *Program) { p.Launches[0].Operands[2].Index = 2 }, "buffer of q16t; the kernel takes f32"},
	{"buffer of other rows", func(p *Program) { p.Launches[0].Operands[2].Index = 6 }, "R rows, not m = T"},
	{"buffer of other columns", func(p *Program) { p.Launches[0].Operands[2].Index = 4 }, "size 32, not k = 64"},
	{"packed where a vector is read", func(p *Program) { p.Launches[1].Operands[1].Index = 0 }, "takes one of 1 dimensions"},
	{"row-major where a matrix is read", func(p *Program) { p.Launches[0].Operands[0].Index = 3 }, "weight inv_freq is f32; the kernel takes"},
	{"weight of other columns", func(p *Program) { p.Launches[3].Operands[3].Index = 4 }, "size 32, not n = 64"},
	{"input of another format", func(p *Program) { p.Launches[3].Operands[0].Index = 1 }, "takes an input of q16t with groups of 64, not f32"},
	{"groups of another size", func(p *Program) { p.Buffers[2].Group = 32 }, "takes an input of q16t with groups of 64"},
	{"input of one digit", func(p *Program) { p.Buffers[2].Format = "q8t" }, ""},
	{"one digit of another form", func(p *Program) { p.Buffers[2].Format = "q8g" }, "takes an input of q16t with groups of 64, not q8g"},
	{"one digit, groups of another size", func(p *Program) { p.Buffers[2].Format, p.Buffers[2].Group = "q8t", 32 }, "takes an input of q8t with groups of 64"},
	{"turned in blocks", func(p *Program) { turnNorm(p, 32) }, ""},
	{"turned in blocks of no power of two", func(p *Program) { turnNorm(p, 12) }, "block divides k does not hold"},
	{"turned in other blocks", func(p *Program) { turnNorm(p, 128) }, "block divides k does not hold"},
	{"zero points with per-row input", func(p *Program) { p.Weights[2] = "zeros" }, "takes an input of q16g with groups of 32"},
	{"another table", func(p *Program) { p.Launches[0].Operands[0].Index = 2 }, ""},
	{"table below the vocabulary", func(p *Program) { p.Weights[0] = "small" }, "table of 32 rows for a vocabulary of 48"},
	{"layer out of range", func(p *Program) { p.Launches[4].Attrs[0].Int = 1 }, "layer < layers does not hold: 1 and 1"},
	{"layer negative", func(p *Program) { p.Launches[4].Attrs[0].Int = -1 }, "attribute layer is -1"},
	{"heads do not fit", func(p *Program) { p.Launches[4].Attrs[1].Int = 3 }, "size 64, not heads*dim+2*kv_heads*dim = 80"},
	{"head size is not the cache's", func(p *Program) { p.Launches[5].Attrs[3].Int = 8; p.Launches[5].Attrs[1].Int = 4 }, "size 16, not dim = 8"},
	{"rotates more than there is", func(p *Program) { p.Launches[4].Attrs[4].Int = 18 }, "rotary_dim = 2*half does not hold"},
	{"attribute missing", func(p *Program) { p.Launches[1].Attrs = nil }, "attribute eps is missing"},
	{"attribute twice", func(p *Program) { p.Launches[1].Attrs = append(p.Launches[1].Attrs, p.Launches[1].Attrs[0]) }, "attribute eps occurs twice"},
	{"attribute unknown", func(p *Program) { p.Launches[1].Attrs[0].Name = "epsilon" }, `unknown attribute "epsilon"`},
	{"attribute not a number", func(p *Program) { p.Launches[1].Attrs[0].Float = math.NaN() }, "attribute eps is NaN"},
	{"attribute out of range", func(p *Program) { p.Launches[1].Attrs[0].Float = math.Inf(1) }, "attribute eps is +Inf"},
	{"attribute of another kind", func(p *Program) { p.Launches[1].Attrs[0].Int = 1 }, "another kind"},
	{"attribute text", func(p *Program) { p.Launches[4].Attrs[5].Text = "diagonal" }, `attribute style is "diagonal"`},
	{"mode without its rows", func(p *Program) { p.Launches[4].Attrs[6].Text = "longrope" }, "1 rows of frequencies; mode longrope takes 2"},
	{"mode without its numbers", func(p *Program) { p.Launches[4].Attrs[6].Text = "longrope"; p.Weights[3] = "frequencies" }, "attribute original_max is missing"},
	{"mode with all", func(p *Program) {
		p.Launches[4].Attrs[6].Text = "longrope"
		p.Launches[4].Attrs = append(p.Launches[4].Attrs, Attr{Name: "original_max", Int: 64})
		p.Weights[3] = "frequencies"
	}, ""},
	{"ahead with a rotation on read", func(p *Program) {
		p.Launches[5].Attrs = append(p.Launches[5].Attrs, Attr{Name: "ahead", Int: 1})
		p.Launches[5].Operands[4] = Operand{OperandWeight, 3}
	}, "positions ahead with inv_freq or alibi"},
	{"half a rotation on read", func(p *Program) { p.Launches[5].Operands[4] = Operand{OperandWeight, 3} }, "inv_freq and ropelen go together"},
}

func TestProgramChecks(t *testing.T) {
	for _, c := range slices.Concat(tableChanges, launchChanges) {
		p := fixtureProgram("x86-64-v3")
		c.change(p)
		err := decodeFixture(t, p)
		if (err == nil) != (c.text == "") || !strings.Contains(fmt.Sprint(err), c.text) && err != nil {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
		if err != nil && !errors.Is(err, ErrProgram) {
			t.Errorf("%s: %v is not ErrProgram", c.name, err)
		}
	}
}

// Programs are refused for fields that this release does not know: ignoring one could compute something else.
func TestProgramUnknownField(t *testing.T) {
	data, err := marshal(map[string]any{"func": "step", "target": "x86-64-v3", "grid": 4})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeFixtureBytes(data); !errors.Is(err, ErrProgram) || !strings.Contains(err.Error(), "grid") {
		t.Errorf("unknown field: %v", err)
	}
}

// A buffer that passes the check lies inside its slot for any values of the symbols: compared with counting bytes.
func TestBufferInsideSlot(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	small := func(n int64) int64 { return r.Int64N(n) }
	accepted := 0
	for range 20_000 {
		slot := sym.Dim{K: small(512)}
		rows := sym.Dim{K: small(4)}
		for i := range slot.Coef {
			slot.Coef[i], rows.Coef[i] = small(600), small(3)*small(2)
		}
		b := Buffer{Rows: rows, Cols: 1 + small(40), Stride: 4 * small(60), Offset: 4 * small(60), DType: dtype.F32}
		s := programScope{program: &Program{Slots: []sym.Dim{slot}}}
		if s.checkBuffer(&b) != nil {
			continue
		}
		accepted++
		for range 5 {
			env := sym.Bind(small(50), small(50), small(50), small(50))
			size, err1 := slot.Eval(env)
			n, err2 := rows.Eval(env)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			for row := range n {
				if end := b.Offset + row*b.Stride + b.Cols*4; end > size {
					t.Fatalf("%+v in a slot of %v: row %d ends at %d of %d", b, slot, row, end, size)
				}
			}
		}
	}
	if accepted < 100 {
		t.Errorf("only %d buffers accepted: the test shows little", accepted)
	}
}

// Rows of the kernel table are consistent: names are known where they are used, and the device exists.
func TestKernelTable(t *testing.T) {
	seen := map[string]bool{}
	for i := range Kernels {
		k := &Kernels[i]
		if seen[k.Name] || k.Doc == "" || FindKernel(k.Name) != k {
			t.Errorf("%s: twice, or without doc", k.Name)
		}
		seen[k.Name] = true
		known := map[string]bool{}
		for _, a := range k.Attrs {
			if known[a.Name] || a.Kind == AttrText && len(a.Values) == 0 || a.Kind != AttrText && a.Min >= a.Max {
				t.Errorf("%s: attribute %s", k.Name, a.Name)
			}
			known[a.Name] = true
		}
		writes := false
		for _, r := range k.Roles {
			if r.Kind == OperandCache { // bound before all others
				known["layers"], known["kv_heads"], known["dim"], known["rank"] = true, true, true, r.kind == Latent || r.kind == State
			}
		}
		for _, r := range k.Roles {
			checkRole(t, k, &r, known)
			writes = writes || r.Writes
		}
		if !writes {
			t.Errorf("%s writes nothing", k.Name)
		}
		for _, where := range k.Where {
			part := strings.Fields(where)
			if len(part) != 3 || relations[part[1]] == nil {
				t.Fatalf("%s: relation %q", k.Name, where)
			}
			checkNames(t, k, part[0]+"+"+part[2], known)
		}
	}
}

func checkRole(t *testing.T, k *Kernel, r *Role, known map[string]bool) {
	t.Helper()
	dims := map[OperandKind]int{OperandBuffer: 2, OperandInput: 1, OperandCache: 0}
	unbound := r.Kind == OperandInput && len(r.Dims) == 0 // of a length that no form gives
	if want, fixed := dims[r.Kind]; fixed && len(r.Dims) != want && !unbound {
		t.Errorf("%s: role %s has %d dimensions", k.Name, r.Name, len(r.Dims))
	}
	if r.Kind != OperandInput && len(r.Types) == 0 {
		t.Errorf("%s: role %s takes nothing", k.Name, r.Name)
	}
	for i, d := range r.Dims {
		if r.Kind == OperandInput || r.Kind == OperandBuffer && i == 0 {
			continue // rows have names of their own
		}
		if isName(d) {
			known[d] = true
		}
		checkNames(t, k, d, known)
	}
}

// checkNames wants every name of an expression to be bound before it is used.
func checkNames(t *testing.T, k *Kernel, expr string, known map[string]bool) {
	t.Helper()
	for _, name := range strings.FieldsFunc(expr, func(r rune) bool { return r == '+' || r == '*' }) {
		if isName(name) && !known[name] {
			t.Errorf("%s: %s is not known in %s", k.Name, name, expr)
		}
	}
}

// turnNorm makes a Hadamard transform of the launch that normalises.
func turnNorm(p *Program, block int64) {
	l := &p.Launches[1]
	l.Kernel, l.Operands = "cpu.hadamard", ops(OperandBuffer, 0, OperandBuffer, 1)
	l.Attrs = []Attr{{Name: "block", Int: block}}
}
