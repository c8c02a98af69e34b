package cuda_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"llmc/codegen/cuda"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/internal/sym"
	"llmc/ir"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
)

// single is a program of one launch, to run a kernel alone.
type single struct {
	t       *testing.T
	op      ir.Op
	program engine.Program
	launch  engine.Launch
	code    *engine.Code
	text    string
}

// newSingle starts a launch of a kernel for the op; operands are added with buffer, cache, weight and input.
func newSingle(t *testing.T, kernel, op string, attrs ...engine.Attr) *single {
	s := &single{t: t, launch: engine.Launch{Kernel: kernel, Attrs: attrs}}
	s.op.Kind = ir.FindOp(op)
	s.op.Args = make([]*ir.Value, len(s.op.Kind.Args))
	s.launch.Operands = make([]engine.Operand, len(engine.FindKernel(kernel).Roles))
	return s
}

func (s *single) place(role string, o engine.Operand) {
	for i, r := range engine.FindKernel(s.launch.Kernel).Roles {
		if r.Name == role {
			s.launch.Operands[i] = o
			return
		}
	}
	s.t.Fatalf("no role %s", role)
}

// buffer adds an activation of T rows, which are as long as the target makes them.
func (s *single) buffer(role string, t dtype.Type, cols int) *engine.Buffer {
	padded := cols
	if t == dtype.BF16 {
		padded = (cols + 63) / 64 * 64
	}
	s.place(role, engine.Operand{Kind: engine.OperandBuffer, Index: len(s.program.Buffers)})
	s.program.Buffers = append(s.program.Buffers, engine.Buffer{
		Name: role, Rows: sym.Of(sym.T), Cols: int64(cols), Stride: int64((padded*t.Size() + 63) / 64 * 64), DType: t,
	})
	return &s.program.Buffers[len(s.program.Buffers)-1]
}

func (s *single) cache(heads, dim int, t dtype.Type) {
	s.place("cache", engine.Operand{Kind: engine.OperandCache})
	s.program.Caches = []engine.Cache{{Name: "kv", Kind: "paged", Layers: 1, KVHeads: heads, Dim: dim, DType: t}}
}

func (s *single) weight(role string, dims ...int64) {
	s.place(role, engine.Operand{Kind: engine.OperandWeight})
	w := &ir.Weight{}
	w.Type.DType = dtype.F32
	for _, d := range dims {
		w.Type.Dims = append(w.Type.Dims, sym.Const(d))
	}
	w.Weight = w
	for i, a := range s.op.Kind.Args {
		if a.Name == role {
			s.op.Args[i] = &w.Value
		}
	}
}

func (s *single) inputs(roles ...string) {
	for _, role := range roles {
		s.place(role, engine.Operand{Kind: engine.OperandInput})
	}
}

// write writes the kernel for a target.
func (s *single) write(target string) {
	s.t.Helper()
	needs(s.t, target)
	coder := cuda.NewCoder(gpuTarget(s.t, target))
	codes, err := coder.Code(&s.op, &s.launch, &s.program)
	check(s.t, err)
	s.code = &codes[len(codes)-1] // the one for steps of every size
	s.text, err = coder.Text()
	check(s.t, err)
	needsDriver(s.t, s.text)
}

// memory is what a launch's operands are before and after it.
type memory struct {
	t        *testing.T
	operands []operand
}

type operand struct {
	role  string
	bytes []byte
}

func newMemory(t *testing.T) *memory { return &memory{t: t} }

// fresh is memory that nobody wrote: NaN in every format.
func (m *memory) fresh(role string, n int) []byte {
	b := bytes.Repeat([]byte{0xff}, n)
	m.operands = append(m.operands, operand{role, b})
	return b
}

func (m *memory) ints(role string, values []int32) []byte {
	m.t.Helper()
	b := m.fresh(role, 4*len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint32(b[4*i:], uint32(v))
	}
	return b
}

func (m *memory) floats(role string, values []float32) {
	m.t.Helper()
	b := m.fresh(role, 4*len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
}

// matrix is the memory of an activation of as many rows.
func (m *memory) matrix(b *engine.Buffer, rows int) matrix {
	m.t.Helper()
	return matrix{b, m.fresh(b.Name, rows*int(b.Stride))}
}

// run launches the kernel, with races checked where it is the emulator. Operands are copied to the device and back.
func (s *single) run(m *memory, tokens, sequences, pageSize, pageStride int) {
	s.t.Helper()
	d := openDriver(s.t, emu.Options{Races: true, Seed: 1, Steps: 1 << 32})
	defer d.Close()
	code, err := d.Load(s.text)
	check(s.t, err)
	launch := &gpu.Launch{Label: s.launch.Kernel, Threads: uint32(s.code.Threads), Shared: uint32(s.code.Shared), Early: s.code.Early}
	launch.Kernel, err = code.Entry(s.code.Entry)
	check(s.t, err)
	for i, e := range s.code.Grid {
		n, err := e.Eval(sym.Bind(int64(tokens), int64(sequences), 0, 0))
		check(s.t, err)
		launch.Grid[i] = uint32(n)
	}
	var ranges []gpu.Range
	for _, o := range m.operands {
		ranges = append(ranges, gpu.Range{Name: o.role, Bytes: int64(len(o.bytes))})
	}
	addresses := map[string]uint64{}
	places, err := d.Alloc("operands", ranges)
	check(s.t, err)
	for i, o := range m.operands {
		check(s.t, places[i].Write(0, o.bytes))
		addresses[o.role] = places[i].Addr()
	}
	for _, role := range engine.FindKernel(s.launch.Kernel).Roles {
		launch.Args = append(launch.Args, addresses[role.Name])
	}
	launch.Args = append(launch.Args, uint64(tokens), uint64(sequences), 0, uint64(pageSize), uint64(pageStride))
	check(s.t, d.Launch(launch))
	check(s.t, d.Finish())
	for i, o := range m.operands {
		check(s.t, places[i].Read(0, o.bytes))
	}
}

// matrix reads and writes an activation.
type matrix struct {
	*engine.Buffer
	bytes []byte
}

func (m matrix) set(row, col int, v float32) {
	at := row*int(m.Stride) + col*m.DType.Size()
	if m.DType == dtype.BF16 {
		binary.LittleEndian.PutUint16(m.bytes[at:], bf16(v))
		return
	}
	binary.LittleEndian.PutUint32(m.bytes[at:], math.Float32bits(v))
}

func (m matrix) at(row, col int) float32 {
	at := row*int(m.Stride) + col*m.DType.Size()
	if m.DType == dtype.BF16 {
		return widened(binary.LittleEndian.Uint16(m.bytes[at:]))
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(m.bytes[at:]))
}

// checkPadding wants zeros behind the columns of bf16, up to a multiple of 64.
func (m matrix) checkPadding(t *testing.T, rows int) {
	t.Helper()
	for r := 0; m.DType == dtype.BF16 && r < rows; r++ {
		for c := int(m.Cols); c < (int(m.Cols)+63)/64*64; c++ {
			if m.at(r, c) != 0 {
				t.Fatalf("%s: padding at row %d, column %d is %v", m.Name, r, c, m.at(r, c))
			}
		}
	}
}

// bf16 rounds to nearest, ties to even.
func bf16(v float32) uint16 {
	b := math.Float32bits(v)
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

func widened(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

func rounded(v float32) float32 { return widened(bf16(v)) }

func randoms(n int, seed uint64, scale float64) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(r.NormFloat64() * scale)
	}
	return out
}
