package engine

import (
	"fmt"
	"slices"

	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// Bounds of a program.
const (
	maxLaunches = 1 << 16
	maxBuffers  = 1 << 16
	maxCaches   = 1 << 10
	maxSlotK    = 1 << 40 // of the constant and of each coefficient of a slot's size
)

// programScope is what a program's indices refer to.
type programScope struct {
	program *Program
	weights map[string]*WeightEntry
	vocab   int64
	parts   []*WeightEntry // by operand index: weights as the program has them
}

// decodeProgram reads a program section and validates it: afterwards every index is in range, every buffer inside its
// slot for all values of the symbols, and every launch as its kernel's row wants it.
func decodeProgram(name string, data []byte, weights map[string]*WeightEntry, info *ModelInfo) (*Program, error) {
	var wire programWire
	if err := unmarshal(data, &wire, true); err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrProgram, name, err)
	}
	p, err := fromWire(&wire)
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrProgram, name, err)
	}
	got := programName(p.Func, p.Target)
	if p.Cards != 0 {
		got = cardsName(p.Func, p.Target, p.Cards)
	}
	if got != name {
		return nil, fmt.Errorf("%w %s: it says that it is %s", ErrProgram, name, got)
	}
	scope := programScope{program: p, weights: weights, vocab: int64(info.Vocab)}
	if err := scope.check(); err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrProgram, name, err)
	}
	return p, nil
}

func (s *programScope) check() error {
	p := s.program
	target, err := FindTarget(p.Target)
	if err != nil {
		return err
	}
	if len(p.Launches) > maxLaunches || len(p.Buffers) > maxBuffers || len(p.Caches) > maxCaches {
		return fmt.Errorf("%d launches, %d buffers and %d caches; at most %d, %d and %d are allowed",
			len(p.Launches), len(p.Buffers), len(p.Caches), maxLaunches, maxBuffers, maxCaches)
	}
	for i, slot := range p.Slots {
		if err := checkForm(slot, maxSlotK); err != nil {
			return fmt.Errorf("slot %d: %w", i, err)
		}
	}
	for i := range p.Buffers {
		if err := s.checkBuffer(&p.Buffers[i]); err != nil {
			return fmt.Errorf("buffer %d %s: %w", i, p.Buffers[i].Name, err)
		}
	}
	if err := s.takeWeights(target.Device); err != nil {
		return err
	}
	for i := range p.Caches {
		if err := s.checkCache(i); err != nil {
			return err
		}
	}
	for i := range p.Launches {
		l := &p.Launches[i]
		if err := s.checkLaunch(l, target.Device); err != nil {
			return fmt.Errorf("launch %d %s (%s): %w", i, l.Kernel, l.Label, err)
		}
		if slices.ContainsFunc(l.Code, func(c Code) bool { return c.Early }) && target.SM < earlySM {
			return fmt.Errorf("launch %d %s (%s): target %s has no early entries", i, l.Kernel, l.Label, target.Name)
		}
	}
	if err := p.checkAuxiliary(target.Device); err != nil {
		return err
	}
	if err := p.checkAdapted(&target); err != nil {
		return err
	}
	if len(p.Persistent) > 0 && target.Device == "cpu" {
		return fmt.Errorf("a persistent entry for device %s, which takes no code from plans", target.Device)
	}
	for _, reason := range p.Unpersistent {
		if err := checkName(reason); err != nil {
			return err
		}
	}
	if err := p.CheckPersistent(); err != nil {
		return err
	}
	return s.checkResults()
}

// takeWeights finds the weights, or what a card has of each.
func (s *programScope) takeWeights(device string) error {
	p := s.program
	if p.Cards != 0 && (p.Cards < 2 || p.Cards > MaxCards || device == "cpu") || p.Cards == 0 && p.Shares != nil {
		return fmt.Errorf("a program for %d cards of device %s", p.Cards, device)
	}
	for i, name := range p.Weights {
		if s.weights[name] == nil {
			return fmt.Errorf("weight %d: the plan has no weight %q", i, name)
		}
		part, err := p.PartOf(i, s.weights[name])
		if err != nil {
			return err
		}
		s.parts = append(s.parts, part)
	}
	return nil
}

// checkForm wants a size that is not negative and does not overflow for any values of the symbols that a launch setting allows.
func checkForm(d sym.Dim, limit int64) error {
	for _, c := range append(d.Coef[:], d.K) {
		if c < 0 || c > limit {
			return fmt.Errorf("size %v has a number outside 0 to %d", d, limit)
		}
	}
	return nil
}

// TypeName is how kernel rows call what the buffer holds: its activation format or element type.
func (b *Buffer) TypeName() string {
	if b.Format != "" {
		return b.Format
	}
	return b.DType.String()
}

// RowBytes returns the bytes of a row that kernels touch, padding included.
func (b *Buffer) RowBytes() (int64, error) {
	if b.Cols < 1 || b.Cols > maxDim {
		return 0, fmt.Errorf("%d columns", b.Cols)
	}
	if b.Group < 0 || b.Group > maxDim {
		return 0, fmt.Errorf("group of %d", b.Group)
	}
	if b.Format == "" && !b.halves() {
		if b.DType.Size() == 0 {
			return 0, fmt.Errorf("element type %q", dtypeText(b.DType))
		}
		return b.Cols * int64(b.DType.Size()), nil
	}
	// Rows of bf16 and f16 are inputs of matrix products too, padded as those are.
	a, err := layout.NewActivation(b.TypeName(), int(b.Cols), int(b.Group))
	if err != nil {
		return 0, err
	}
	if b.Format != "" && (!a.Coded() || a.Maxima != (b.DType == dtype.F32) || !a.Maxima && b.DType != dtype.Invalid) {
		return 0, fmt.Errorf("format %s and element type %q; only quantized rows have a format, and of these f32m alone an element type", b.Format, dtypeText(b.DType))
	}
	return int64(a.Bytes()), nil
}

// halves tells whether numbers have 16 bits.
func (b *Buffer) halves() bool { return b.DType == dtype.BF16 || b.DType == dtype.F16 }

// align returns what offset and stride must be multiples of.
func (b *Buffer) align() int64 {
	if b.Format != "" || b.halves() {
		return layout.Align
	}
	return int64(b.DType.Size())
}

// checkBuffer wants the last byte of the last row inside the slot. Rows and slot are linear forms with coefficients that
// are not negative, so comparing coefficient by coefficient proves it for all values of the symbols.
func (s *programScope) checkBuffer(b *Buffer) error {
	rowBytes, err := b.RowBytes()
	if err != nil {
		return err
	}
	if err := checkForm(b.Rows, maxDim); err != nil {
		return err
	}
	if b.Slot < 0 || b.Slot >= len(s.program.Slots) {
		return fmt.Errorf("slot %d of %d", b.Slot, len(s.program.Slots))
	}
	if b.Stride < rowBytes || b.Stride > maxDim || b.Offset < 0 || b.Offset > maxSlotK {
		return fmt.Errorf("offset %d, stride %d and rows of %d bytes", b.Offset, b.Stride, rowBytes)
	}
	if a := b.align(); b.Offset%a != 0 || b.Stride%a != 0 {
		return fmt.Errorf("offset %d and stride %d are not multiples of %d", b.Offset, b.Stride, a)
	}
	slot := s.program.Slots[b.Slot]
	end := b.Rows.Scale(b.Stride).Add(sym.Const(b.Offset + rowBytes - b.Stride))
	for i := range end.Coef {
		if end.Coef[i] > slot.Coef[i] {
			return fmt.Errorf("its end %v is past the end %v of slot %d", end, slot, b.Slot)
		}
	}
	if end.K > slot.K {
		return fmt.Errorf("its end %v is past the end %v of slot %d", end, slot, b.Slot)
	}
	return nil
}

// maxResults bounds the results of a function.
const maxResults = 64

// checkResults wants what the function gives: logits of the step's rows, or named buffers of numbers.
func (s *programScope) checkResults() error {
	p := s.program
	if p.Func == StepFunc {
		if len(p.Results) > 0 {
			return fmt.Errorf("%d results beside the logits of function %s", len(p.Results), p.Func)
		}
		return s.checkLogits()
	}
	if len(p.Results) < 1 || len(p.Results) > maxResults {
		return fmt.Errorf("function %s gives %d results, not 1 to %d", p.Func, len(p.Results), maxResults)
	}
	for i, r := range p.Results {
		if err := checkName(r.Name); err != nil {
			return err
		}
		if r.Name == "" || slices.ContainsFunc(p.Results[:i], func(o Result) bool { return o.Name == r.Name }) {
			return fmt.Errorf("result %d has no name of its own: %q", i, r.Name)
		}
		if r.Buffer < 0 || r.Buffer >= len(p.Buffers) {
			return fmt.Errorf("result %s is buffer %d of %d", r.Name, r.Buffer, len(p.Buffers))
		}
		if b := &p.Buffers[r.Buffer]; b.TypeName() != "f32" {
			return fmt.Errorf("result %s is %s, not f32", r.Name, b.TypeName())
		}
	}
	return nil
}

// checkLogits wants the rows that sampling reads.
func (s *programScope) checkLogits() error {
	i := s.program.Logits
	if i < 0 || i >= len(s.program.Buffers) {
		return fmt.Errorf("logits are buffer %d of %d", i, len(s.program.Buffers))
	}
	if b := &s.program.Buffers[i]; b.TypeName() != "f32" || b.Rows != sym.Of(sym.R) || b.Cols != s.vocab {
		return fmt.Errorf("logits are %s[%v,%d], not f32[R,%d]", b.TypeName(), b.Rows, b.Cols, s.vocab)
	}
	return nil
}

// checkLaunch compares a launch with its kernel's row.
func (s *programScope) checkLaunch(l *Launch, device string) error {
	kernel := FindKernel(l.Kernel)
	if kernel == nil || kernel.Device() != device {
		return fmt.Errorf("this release has no such kernel for device %s; use a newer one or build the plan again", device)
	}
	if owns := device != "cpu"; owns != (len(l.Code) > 0) {
		return fmt.Errorf("device %s takes kernels from the plan's code: %v; the launch names an entry: %v", device, owns, len(l.Code) > 0)
	}
	if err := checkCodes(l.Code); err != nil {
		return err
	}
	if len(l.Operands) > len(kernel.Roles) {
		return fmt.Errorf("%d operands; the kernel has %d", len(l.Operands), len(kernel.Roles))
	}
	b := &Bound{Kernel: kernel, Launch: l, scope: s, sizes: map[string]int64{},
		rows: map[string]sym.Dim{"T": sym.Of(sym.T), "R": sym.Of(sym.R), "B": sym.Of(sym.B)}}
	if err := b.bindAttrs(); err != nil {
		return err
	}
	// Caches first: what they bind may stand in the shapes of operands before them.
	for _, caches := range []bool{true, false} {
		for i := range kernel.Roles {
			role := &kernel.Roles[i]
			if (role.Kind == OperandCache) != caches {
				continue
			}
			if err := b.bindOperand(role, kernel.Operand(l, role.Name)); err != nil {
				return fmt.Errorf("operand %s: %w", role.Name, err)
			}
		}
	}
	for _, where := range kernel.Where {
		if err := b.relation(where); err != nil {
			return err
		}
	}
	if kernel.Check != nil {
		return kernel.Check(b)
	}
	return nil
}

// bindAttrs checks the attributes and makes the integers known by name.
func (b *Bound) bindAttrs() error {
	for i := range b.Launch.Attrs {
		a := &b.Launch.Attrs[i]
		row := slices.IndexFunc(b.Kernel.Attrs, func(r AttrRow) bool { return r.Name == a.Name })
		if row < 0 {
			return fmt.Errorf("unknown attribute %q", a.Name)
		}
		if slices.ContainsFunc(b.Launch.Attrs[:i], func(o Attr) bool { return o.Name == a.Name }) {
			return fmt.Errorf("attribute %s occurs twice", a.Name)
		}
		if err := b.Kernel.Attrs[row].check(a); err != nil {
			return err
		}
		if b.Kernel.Attrs[row].Kind == AttrInt {
			b.sizes[a.Name] = a.Int
		}
	}
	for _, row := range b.Kernel.Attrs {
		if !row.Optional && !slices.ContainsFunc(b.Launch.Attrs, func(a Attr) bool { return a.Name == row.Name }) {
			return fmt.Errorf("attribute %s is missing", row.Name)
		}
	}
	return nil
}
