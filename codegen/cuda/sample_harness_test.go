package cuda_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"llmc/codegen/cuda"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/internal/sym"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
)

// logitsSource is a program whose logits are given: it copies rows of a buffer, which the driver of the test fills.
func logitsSource(t *testing.T, target string, vocab int) *engine.Plan {
	t.Helper()
	coder := cuda.NewCoder(gpuTarget(t, target))
	stride := int64(4*vocab+63) / 64 * 64
	p := &engine.Program{Func: "step", Target: target, Slots: []sym.Dim{sym.Of(sym.T).Scale(stride), sym.Of(sym.R).Scale(stride)}, Logits: 1,
		Buffers: []engine.Buffer{
			{Name: "all", Rows: sym.Of(sym.T), Cols: int64(vocab), Stride: stride, DType: dtype.F32},
			{Name: "logits", Slot: 1, Rows: sym.Of(sym.R), Cols: int64(vocab), Stride: stride, DType: dtype.F32},
		}}
	l := engine.Launch{Kernel: "cuda.select_rows", Label: "logits", Operands: []engine.Operand{
		{Kind: engine.OperandBuffer}, {Kind: engine.OperandInput, Index: 4}, {Kind: engine.OperandBuffer, Index: 1}}}
	codes, err := coder.Code(nil, &l, p)
	check(t, err)
	l.Code = codes
	p.Launches = []engine.Launch{l}
	check(t, coder.Finish(p))
	p.Auxiliary = coder.Auxiliary(p)
	text, err := coder.Text()
	check(t, err)
	info := engine.ModelInfo{Name: "test", Family: "test", Vocab: vocab, Hidden: 1, Layers: 1, Heads: 1, KVHeads: 1, HeadDim: 1, MaxContext: 4096}
	infoContent, err := engine.InfoContent(&info)
	check(t, err)
	program, err := engine.ProgramContent(p)
	check(t, err)
	plan, err := write(t, engine.Spec{Sections: []engine.Content{infoContent, program, {Kind: engine.KindPTX, Name: target, Data: []byte(text)}}}, nil)
	check(t, err)
	t.Cleanup(func() { plan.Close() })
	return plan
}

// card is the emulator as a driver that fills the source of the logits and counts what is read of them.
type card struct {
	gpu.HostMemory
	t        *testing.T
	memory   *emu.Memory
	launched []string
	read     int64 // bytes of logits
}

func (*card) Card() gpu.Card {
	return gpu.Card{Name: "test", Capability: 90, Driver: 13000, Memory: 4 << 30, SharedMemory: 227 << 10}
}
func (*card) Close() error { return nil }

func (c *card) Load(ptx string) (gpu.Code, error) {
	m, err := emu.Load(ptx)
	return cardCode{m}, err
}

type cardCode struct{ *emu.Module }

func (c cardCode) Entry(name string) (gpu.Kernel, error) { return c.Kernel(name) }

func (c *card) Alloc(_ string, ranges []gpu.Range) (list []gpu.Memory, err error) {
	for _, r := range ranges {
		b, err := c.memory.Alloc(r.Name, int(r.Bytes))
		if err != nil {
			return nil, err
		}
		list = append(list, &cardMemory{c, r.Name, b})
	}
	return list, nil
}

func (c *card) Constants(list []gpu.Constant) (gpu.Upload, error) {
	if len(list) > 0 {
		return nil, fmt.Errorf("%d weights", len(list))
	}
	return nothing{}, nil
}

// nothing is on its way.
type nothing struct{}

func (nothing) Addr(int) uint64 { return 0 }
func (nothing) Wait() error     { return nil }

// Launch runs a kernel with races checked.
func (c *card) Launch(l *gpu.Launch) error {
	kernel := l.Kernel.(*emu.Kernel)
	c.launched = append(c.launched, kernel.Name())
	config := emu.Config{Grid: l.Grid, Block: [3]uint32{l.Threads, 1, 1}, Shared: int(l.Shared), Args: l.Args, Early: l.Early}
	_, err := kernel.Launch(context.Background(), c.memory, config, emu.Options{Races: true, Seed: 1})
	return err
}

// cardMemory is memory of the card; activations 0 are the source of the logits, activations 1 the logits.
type cardMemory struct {
	card *card
	name string
	*emu.Buffer
}

func (m *cardMemory) Write(offset int64, data []byte) error {
	copy(m.Bytes()[offset:], data)
	return nil
}

func (m *cardMemory) Read(offset int64, data []byte) error {
	if m.name == "activations 1" {
		m.card.read += int64(len(data))
	}
	copy(data, m.Bytes()[offset:])
	return nil
}

// fill writes the source of the logits.
func (m *cardMemory) fill(rows [][]float32) {
	stride := (4*len(rows[0]) + 63) / 64 * 64
	for r, row := range rows {
		for i, v := range row {
			binary.LittleEndian.PutUint32(m.Bytes()[r*stride+4*i:], math.Float32bits(v))
		}
	}
}

// deviceSampler samples given logits on the emulator.
type deviceSampler struct {
	*card
	model  *gpu.Model
	source *cardMemory
	vocab  int
}

const sampledRows = 8

func newDeviceSampler(t *testing.T, target string, vocab int) *deviceSampler {
	t.Helper()
	d := &deviceSampler{card: &card{t: t, memory: emu.NewMemory()}, vocab: vocab}
	settings := engine.Settings{MaxStepTokens: sampledRows, MaxSequences: sampledRows, MaxContext: 64}
	model, err := gpu.Load(logitsSource(t, target, vocab), &catch{d.card, d}, settings)
	check(t, err)
	d.model = model
	return d
}

// catch keeps the memory that the source of the logits is.
type catch struct {
	*card
	d *deviceSampler
}

func (c *catch) Alloc(what string, ranges []gpu.Range) ([]gpu.Memory, error) {
	list, err := c.card.Alloc(what, ranges)
	for _, m := range list {
		if m := m.(*cardMemory); m.name == "activations 0" {
			c.d.source = m
		}
	}
	return list, err
}

// step samples rows from logits.
func (d *deviceSampler) step(logits [][]float32, rows []engine.Row, drafts []int32) []engine.Sampled {
	d.t.Helper()
	d.source.fill(logits)
	s := &engine.Step{}
	s.Reset()
	for i := range rows {
		s.IDs, s.Positions, s.RopeLen, s.Slots = append(s.IDs, 0), append(s.Positions, int32(i)), append(s.RopeLen, 64), append(s.Slots, -1)
		rows[i].Token = int32(i)
	}
	s.SeqStart, s.Context, s.Pages, s.PageStart = append(s.SeqStart, int32(len(rows))), []int32{int32(len(rows))}, []int32{0}, append(s.PageStart, 1)
	s.Rows, s.Drafts = rows, drafts
	out := make([]engine.Sampled, len(rows))
	d.launched, d.read = d.launched[:0], 0
	check(d.t, d.model.Step(s, out))
	return out
}
