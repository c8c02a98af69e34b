package cuda_test

import (
	"encoding/binary"
	"math"
	"strings"
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
	needs(t, target)
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
	needsDriver(t, text)
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

// card is a driver that fills the source of the logits and counts what is read of them.
type card struct {
	gpu.Driver
	launched []string
	read     int64 // bytes of logits
}

type cardCode struct{ gpu.Code }

// cardKernel is an entry that knows its name.
type cardKernel struct {
	gpu.Kernel
	name string
}

func (c *card) Load(ptx string) (gpu.Code, error) {
	code, err := c.Driver.Load(ptx)
	return cardCode{code}, err
}

func (c cardCode) Entry(name string) (gpu.Kernel, error) {
	k, err := c.Code.Entry(name)
	return cardKernel{k, name}, err
}

func (c *card) Alloc(what string, ranges []gpu.Range) ([]gpu.Memory, error) {
	list, err := c.Driver.Alloc(what, ranges)
	if err != nil {
		return nil, err
	}
	for i, r := range ranges {
		if strings.HasPrefix(r.Name, "activations ") { // the driver gets others back as they are
			list[i] = &cardMemory{c, r.Name, list[i]}
		}
	}
	return list, nil
}

// Fetch gives the driver its own memory.
func (c *card) Fetch(to []byte, from gpu.Memory, offset int64) error {
	if m, ok := from.(*cardMemory); ok {
		m.count(len(to))
		from = m.Memory
	}
	return c.Driver.Fetch(to, from, offset)
}

func (c *card) Launch(l *gpu.Launch) error {
	k := l.Kernel.(cardKernel)
	c.launched = append(c.launched, k.name)
	own := *l
	own.Kernel = k.Kernel
	return c.Driver.Launch(&own)
}

// cardMemory is memory of the card; activations 0 are the source of the logits, activations 1 the logits.
type cardMemory struct {
	card *card
	name string
	gpu.Memory
}

func (m *cardMemory) Read(offset int64, data []byte) error {
	m.count(len(data))
	return m.Memory.Read(offset, data)
}

func (m *cardMemory) count(bytes int) {
	if m.name == "activations 1" {
		m.card.read += int64(bytes)
	}
}

// fill writes the source of the logits.
func (m *cardMemory) fill(rows [][]float32) error {
	stride := (4*len(rows[0]) + 63) / 64 * 64
	for r, row := range rows {
		var bytes []byte
		for _, v := range row {
			bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(v))
		}
		if err := m.Write(int64(r*stride), bytes); err != nil {
			return err
		}
	}
	return nil
}

// deviceSampler samples given logits on the device.
type deviceSampler struct {
	t *testing.T
	*card
	model  *gpu.Model
	source *cardMemory
	vocab  int
}

const sampledRows = 8

func newDeviceSampler(t *testing.T, target string, vocab int) *deviceSampler {
	t.Helper()
	d := &deviceSampler{t: t, card: &card{Driver: openDriver(t, emu.Options{Races: true, Seed: 1})}, vocab: vocab}
	settings := engine.Settings{MaxStepTokens: sampledRows, MaxSequences: sampledRows, MaxContext: 64}
	model, err := gpu.Load(logitsSource(t, target, vocab), &catch{d.card, d}, settings)
	check(t, err)
	t.Cleanup(func() { check(t, model.Close()) })
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
		if m, ok := m.(*cardMemory); ok && m.name == "activations 0" {
			c.d.source = m
		}
	}
	return list, err
}

// step samples rows from logits.
func (d *deviceSampler) step(logits [][]float32, rows []engine.Row, drafts []int32) []engine.Sampled {
	d.t.Helper()
	check(d.t, d.source.fill(logits))
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
