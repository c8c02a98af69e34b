package cuda

import (
	"unsafe"

	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// Sizes of sampling. A CTA that goes through logits has a chunk of a row, in parts; one that selects looks at as many numbers at once as a
// part has, four a thread.
const (
	sampleThreads = 256
	sampleChunk   = 2 * samplePart
	samplePart    = 2048
	selectThreads = samplePart / 4
	editThreads   = 256
	acceptThreads = 128
)

// editEntries is how many edits a step can have together.
const editEntries = 1 << 16

// sampleFamilies are the kernels of sampling, by the names of engine's kernel table.
var sampleFamilies = map[string]family{
	"cuda.sample_scan":   {sampleThreads, chunkGrid, sampleScan},
	"cuda.sample_mass":   {sampleThreads, chunkGrid, sampleMass},
	"cuda.sample_rank":   {selectThreads, rowGrid, sampleRank},
	"cuda.sample_draw":   {selectThreads, rowGrid, sampleDraw},
	"cuda.sample_edit":   {editThreads, rowGrid, sampleEdit},
	"cuda.sample_finish": {editThreads, rowGrid, sampleFinish},
	"cuda.accept":        {acceptThreads, func(*entry) [3]engine.Extent { return grid(engine.Extent{Of: sym.Of(sym.R), Per: acceptThreads}) }, accept},
}

func rowGrid(*entry) [3]engine.Extent { return grid(engine.Extent{Of: sym.Of(sym.R), Per: 1}) }

func chunkGrid(e *entry) [3]engine.Extent {
	return grid(engine.Extent{Of: constant(e.cols("logits")), Per: sampleChunk}, engine.Extent{Of: sym.Of(sym.R), Per: 1})
}

// sampleLaunches are what comes behind the logits, in order. Operands that are none of the step's arrays are buffers by name.
var sampleLaunches = []struct {
	kernel, pass string
	buffers      map[string]string // by role; where it is not named as the role
}{
	{"cuda.sample_scan", "raw", map[string]string{"raw": "hist_raw", "drawn": "hist_drawn"}},
	{"cuda.sample_mass", "raw", map[string]string{"hist": "hist_raw"}},
	{"cuda.sample_rank", "", map[string]string{"hist": "hist_raw"}},
	{"cuda.sample_edit", "", nil},
	{"cuda.sample_scan", "drawn", nil},
	{"cuda.sample_mass", "drawn", map[string]string{"hist": "hist_drawn"}},
	{"cuda.sample_draw", "", map[string]string{"hist": "hist_drawn"}},
	{"cuda.sample_finish", "", nil},
	{"cuda.accept", "", nil},
}

// Finish adds the launches that sample the rows of the program's logits. Vocabularies that are too long for them are left to the host.
func (c *Coder) Finish(p *engine.Program) error {
	p.Adapted, c.adapted = c.adapted, nil
	if p.Func != engine.StepFunc {
		return nil // nothing is sampled, and sequences as they are have more tokens than persistent entries are for
	}
	if err := c.Persist(p); err != nil {
		return err
	}
	vocab := int(p.Buffers[p.Logits].Cols)
	parts := (vocab + samplePart - 1) / samplePart
	if parts > samplePart {
		return nil
	}
	buffers := map[string]int{"logits": p.Logits}
	perRow := sym.Of(sym.R)
	for _, b := range []struct {
		name string
		rows sym.Dim
		cols int
		t    dtype.Type
	}{
		{"found", perRow, engine.FoundCells, dtype.I64}, {"alternatives", perRow, engine.MaxAlternatives, dtype.I64},
		{"hist_raw", perRow, 2 * engine.SampleBins, dtype.I64}, {"hist_drawn", perRow, 2 * engine.SampleBins, dtype.I64},
		{"parts", perRow, parts, dtype.I64}, {"bins", perRow, vocab, dtype.I16}, {"undo", sym.Const(1), editEntries, dtype.I32},
	} {
		stride := int64(b.cols*b.t.Size()+63) / 64 * 64
		buffers[b.name] = len(p.Buffers)
		p.Buffers = append(p.Buffers, engine.Buffer{Name: "sampling." + b.name, Slot: len(p.Slots), Rows: b.rows, Cols: int64(b.cols), Stride: stride, DType: b.t})
		p.Slots = append(p.Slots, b.rows.Scale(stride))
	}
	for _, row := range sampleLaunches {
		l := engine.Launch{Kernel: row.kernel, Label: "sampling", Sync: true}
		if row.pass != "" {
			l.Attrs = []engine.Attr{{Name: "pass", Text: row.pass}}
		}
		for _, role := range engine.FindKernel(row.kernel).Roles {
			l.Operands = append(l.Operands, sampleOperand(&role, row.buffers, buffers))
		}
		var err error
		if l.Code, err = c.Code(nil, &l, p); err != nil {
			return err
		}
		p.Launches = append(p.Launches, l)
	}
	return nil
}

func sampleOperand(role *engine.Role, names map[string]string, buffers map[string]int) engine.Operand {
	if role.Kind == engine.OperandInput {
		return engine.InputOperand(role.Name)
	}
	name := role.Name
	if names[name] != "" {
		name = names[name]
	}
	i, ok := buffers[name]
	if !ok {
		return engine.Operand{} // an optional one
	}
	return engine.Operand{Kind: engine.OperandBuffer, Index: i}
}

// sampled is a kernel of sampling at work on a row.
type sampled struct {
	e      *entry
	row    ptx.Reg
	record ptx.Reg // address of the row's engine.SampleRow
	flags  ptx.Reg
	found  ptx.Reg // address of the row's cells
}

// newSampled is for a CTA that has one row.
func newSampled(e *entry, row ptx.Reg) sampled {
	s := sampledAt(e, row)
	s.flags = e.Assume(ptx.CTAUniform, s.flags)
	return s
}

func sampledAt(e *entry, row ptx.Reg) sampled {
	s := sampled{e: e, row: row, record: e.Index(e.pointers["sampling"], row, engine.SampleRowBytes), found: e.row("found", row)}
	s.flags = s.field(ptx.U32, unsafe.Offsetof(engine.SampleRow{}.Flags))
	return s
}

// field is one of engine.SampleRow.
func (s *sampled) field(t ptx.Type, offset uintptr) ptx.Reg {
	return s.e.Ld(t, s.record.At(int(offset)))
}

func (s *sampled) cell(i int) ptx.Addr { return s.found.At(8 * i) }

// wants tells whether the row has one of the flags.
func (s *sampled) wants(flags int) ptx.Reg { return s.e.Ne(s.e.And(s.flags, flags), 0) }

// leaveUnless ends the CTA.
func (s *sampled) leaveUnless(p ptx.Reg) { s.e.If(p.Not(), s.e.Return) }

// raw tells whether the launch looks at raw logits, not at those that are drawn from.
func (e *entry) raw() bool { return e.launch.Text("pass", "drawn") == "raw" }

// best is the cell of the greatest logit of those that the launch looks at.
func (s *sampled) best() ptx.Reg {
	cell := s.e.Ld(ptx.U64, s.cell(engine.FoundBest))
	if !s.e.raw() {
		edited := s.e.Ld(ptx.U64, s.cell(engine.FoundEdited))
		cell = s.e.Select(s.wants(engine.SampleChanged), edited, cell)
	}
	return s.e.Assume(ptx.CTAUniform, cell)
}

// choice tells whether a cell has a logit that may be chosen.
func (e *entry) choice(cell ptx.Reg) ptx.Reg {
	_, key := e.Unpack(ptx.U32, cell)
	return e.And(e.Ne(cell, int64(-1)), e.Ne(key, int64(minusInfinityKey)))
}

// minusInfinityKey is engine.LogitKey of what can not be chosen.
const minusInfinityKey = 0x007fffff

// logitKey is engine.LogitKey.
func (e *entry) logitKey(v ptx.Reg) ptx.Reg {
	bits := e.Add(v, 0.0)
	sign := e.Shr(bits.As(ptx.S32), 31).As(ptx.U32)
	return e.Xor(bits.As(ptx.U32), e.Or(sign, 1<<31))
}

// keyLogit is engine.KeyLogit.
func (e *entry) keyLogit(key ptx.Reg) ptx.Reg {
	return e.Select(e.Lt(key, 1<<31), e.Invert(key), e.Xor(key, 1<<31)).As(ptx.F32)
}

// logits reads the row's logits by id: raw, or as tokens are drawn from them, with penalties for what has been seen and minus infinity for what the
// mask rules out.
func (s *sampled) logits() func(id ptx.Reg) ptx.Reg {
	if s.e.raw() {
		return s.rawLogits()
	}
	penalized := s.penalizedLogits()
	words := (s.e.cols("logits") + 31) / 32
	masked := s.wants(engine.SampleMasked)
	mask := s.e.Index(s.e.pointers["masks"], s.field(ptx.U32, unsafe.Offsetof(engine.SampleRow{}.Mask)), 4*words)
	return func(id ptx.Reg) ptx.Reg {
		v := penalized(id)
		s.e.If(masked, func() {
			word := s.e.Ld(ptx.U32, s.e.Index(mask, s.e.Shr(id, 5), 4))
			allowed := s.e.Ne(s.e.And(s.e.Shr(word, s.e.And(id, 31)), 1), 0)
			s.e.Into(v).Select(allowed, v, negInf)
		})
		return v
	}
}
