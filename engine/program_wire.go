package engine

import (
	"fmt"
	"slices"

	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// The forms of a program inside the file: sizes, element types and operand kinds are text, so that the format
// does not depend on the numbering of Go constants.
type (
	programWire struct {
		Func     string       `msgpack:"func"`
		Target   string       `msgpack:"target"`
		Slots    []string     `msgpack:"slots,omitempty"`
		Buffers  []bufferWire `msgpack:"buffers,omitempty"`
		Weights  []string     `msgpack:"weights,omitempty"`
		Caches   []cacheWire  `msgpack:"caches,omitempty"`
		Launches []launchWire `msgpack:"launches,omitempty"`
		Logits   int64        `msgpack:"logits"`
		Results  []resultWire `msgpack:"results,omitempty"`

		Auxiliary  []auxiliaryWire  `msgpack:"auxiliary,omitempty"`
		Adapted    []adaptedWire    `msgpack:"adapted,omitempty"`
		Persistent []persistentWire `msgpack:"persistent,omitempty"`

		Unpersistent []string `msgpack:"unpersistent,omitempty"`

		Cards int64      `msgpack:"cards,omitempty"`
		Parts []partWire `msgpack:"parts,omitempty"`
	}
	partWire struct {
		Weight  int64   `msgpack:"weight"`
		Blocks  []int64 `msgpack:"blocks"`
		Columns bool    `msgpack:"columns,omitempty"`
	}
	resultWire struct {
		Name   string `msgpack:"name"`
		Buffer int64  `msgpack:"buffer"`
	}
	bufferWire struct {
		Name   string `msgpack:"name,omitempty"`
		Slot   int64  `msgpack:"slot"`
		Rows   string `msgpack:"rows"`
		Cols   int64  `msgpack:"cols"`
		Offset int64  `msgpack:"offset"`
		Stride int64  `msgpack:"stride"`
		DType  string `msgpack:"dtype,omitempty"`
		Format string `msgpack:"format,omitempty"`
		Group  int64  `msgpack:"group,omitempty"`
	}
	cacheWire struct {
		Name    string `msgpack:"name"`
		Kind    string `msgpack:"kind"`
		Layers  int64  `msgpack:"layers"`
		KVHeads int64  `msgpack:"kv_heads"`
		Dim     int64  `msgpack:"dim"`
		Rank    int64  `msgpack:"rank,omitempty"` // of kind "latent"
		DType   string `msgpack:"dtype"`
	}
	launchWire struct {
		Kernel   string        `msgpack:"kernel"`
		Label    string        `msgpack:"label,omitempty"`
		Operands []operandWire `msgpack:"operands,omitempty"`
		Attrs    []Attr        `msgpack:"attrs,omitempty"`
		Sync     bool          `msgpack:"sync,omitempty"`
		Code     []codeWire    `msgpack:"code,omitempty"`
	}
	codeWire struct {
		Entry   string   `msgpack:"entry"`
		Grid    []string `msgpack:"grid"` // sizes, each with the divisor behind a slash: "4*T+16/64"
		Threads int64    `msgpack:"threads"`
		Shared  int64    `msgpack:"shared,omitempty"`
		Limit   string   `msgpack:"limit,omitempty"` // the largest step that it serves: "T<=8"
		Early   bool     `msgpack:"early,omitempty"`
	}
	auxiliaryWire struct {
		Name string     `msgpack:"name"`
		Code []codeWire `msgpack:"code"` // one
	}
	adaptedWire struct {
		Launch  int64      `msgpack:"launch"`
		Modules int64      `msgpack:"modules"`
		Down    []codeWire `msgpack:"down"` // one
		Code    []codeWire `msgpack:"code,omitempty"`
	}
	operandWire struct {
		//lint:ignore U1000 the library looks for it
		_msgpack struct{} `msgpack:",as_array"`
		Kind     string
		Index    int64
	}
)

// operandKinds is indexed by OperandKind.
var operandKinds = []string{
	OperandNone: "none", OperandBuffer: "buffer", OperandWeight: "weight", OperandCache: "cache", OperandInput: "input",
}

func (k OperandKind) String() string {
	if int(k) >= len(operandKinds) {
		return fmt.Sprintf("operand(%d)", uint8(k))
	}
	return operandKinds[k]
}

func dtypeText(t dtype.Type) string {
	if t == dtype.Invalid {
		return ""
	}
	return t.String()
}

func parseDType(text string) (dtype.Type, error) {
	if text == "" {
		return dtype.Invalid, nil
	}
	return dtype.Parse(text)
}

func toWire(p *Program) *programWire {
	w := &programWire{Func: p.Func, Target: p.Target, Weights: p.Weights, Logits: int64(p.Logits)}
	for _, s := range p.Slots {
		w.Slots = append(w.Slots, s.String())
	}
	for _, b := range p.Buffers {
		w.Buffers = append(w.Buffers, bufferWire{Name: b.Name, Slot: int64(b.Slot), Rows: b.Rows.String(), Cols: b.Cols, Offset: b.Offset,
			Stride: b.Stride, DType: dtypeText(b.DType), Format: b.Format, Group: b.Group})
	}
	for _, c := range p.Caches {
		w.Caches = append(w.Caches, cacheWire{Name: c.Name, Kind: c.Kind, Layers: int64(c.Layers), KVHeads: int64(c.KVHeads),
			Dim: int64(c.Dim), Rank: int64(c.Rank), DType: dtypeText(c.DType)})
	}
	for _, l := range p.Launches {
		lw := launchWire{Kernel: l.Kernel, Label: l.Label, Attrs: l.Attrs, Sync: l.Sync, Code: codesToWire(l.Code)}
		for _, o := range l.Operands {
			lw.Operands = append(lw.Operands, operandWire{Kind: o.Kind.String(), Index: int64(o.Index)})
		}
		w.Launches = append(w.Launches, lw)
	}
	for _, r := range p.Results {
		w.Results = append(w.Results, resultWire{r.Name, int64(r.Buffer)})
	}
	for _, a := range p.Auxiliary {
		w.Auxiliary = append(w.Auxiliary, auxiliaryWire{a.Name, codesToWire([]Code{a.Code})})
	}
	for _, a := range p.Adapted {
		w.Adapted = append(w.Adapted, adaptedWire{int64(a.Launch), int64(a.Modules), codesToWire([]Code{a.Down}), codesToWire(a.Code)})
	}
	w.Cards = int64(p.Cards)
	for i, s := range p.Shares {
		if s.Blocks != nil {
			w.Parts = append(w.Parts, partWire{int64(i), s.Blocks, s.Columns})
		}
	}
	w.Persistent, w.Unpersistent = persistentToWire(p.Persistent), p.Unpersistent
	return w
}

// fromWire returns the program of w; values are as in the file, still to be validated.
func fromWire(w *programWire) (*Program, error) {
	p := &Program{Func: w.Func, Target: w.Target, Weights: w.Weights, Logits: int(w.Logits),
		Slots: make([]sym.Dim, len(w.Slots)), Buffers: make([]Buffer, len(w.Buffers)),
		Caches: make([]Cache, len(w.Caches)), Launches: make([]Launch, len(w.Launches))}
	var err error
	for i, s := range w.Slots {
		if p.Slots[i], err = sym.Parse(s); err != nil {
			return nil, fmt.Errorf("slot %d: %w", i, err)
		}
	}
	for i, b := range w.Buffers {
		if p.Buffers[i], err = b.buffer(); err != nil {
			return nil, fmt.Errorf("buffer %d %s: %w", i, b.Name, err)
		}
	}
	for i, c := range w.Caches {
		p.Caches[i] = Cache{Name: c.Name, Kind: c.Kind, Layers: int(c.Layers), KVHeads: int(c.KVHeads), Dim: int(c.Dim), Rank: int(c.Rank)}
		if p.Caches[i].DType, err = parseDType(c.DType); err != nil {
			return nil, fmt.Errorf("cache %d %s: %w", i, c.Name, err)
		}
	}
	for i, l := range w.Launches {
		if p.Launches[i], err = l.launch(); err != nil {
			return nil, fmt.Errorf("launch %d %s: %w", i, l.Label, err)
		}
	}
	for _, r := range w.Results {
		p.Results = append(p.Results, Result{r.Name, int(r.Buffer)})
	}
	for _, a := range w.Auxiliary {
		code, err := oneCode(a.Code)
		if err != nil {
			return nil, fmt.Errorf("auxiliary %.40q: %w", a.Name, err)
		}
		p.Auxiliary = append(p.Auxiliary, Auxiliary{a.Name, code})
	}
	if p.Adapted, err = adaptedFromWire(w.Adapted); err != nil {
		return nil, err
	}
	p.Cards = int(w.Cards)
	for _, part := range w.Parts {
		if part.Weight < 0 || part.Weight >= int64(len(p.Weights)) || len(part.Blocks) == 0 {
			return nil, fmt.Errorf("part of weight %d of %d, in %d blocks", part.Weight, len(p.Weights), len(part.Blocks))
		}
		if p.Shares == nil {
			p.Shares = make([]Share, len(p.Weights))
		}
		p.Shares[part.Weight] = Share{part.Blocks, part.Columns}
	}
	p.Persistent, p.Unpersistent = persistentFromWire(w.Persistent), w.Unpersistent
	return p, nil
}

func (b *bufferWire) buffer() (Buffer, error) {
	rows, err := sym.Parse(b.Rows)
	if err != nil {
		return Buffer{}, err
	}
	dt, err := parseDType(b.DType)
	return Buffer{Name: b.Name, Slot: int(b.Slot), Rows: rows, Cols: b.Cols, Offset: b.Offset, Stride: b.Stride,
		DType: dt, Format: b.Format, Group: b.Group}, err
}

func (l *launchWire) launch() (Launch, error) {
	out := Launch{Kernel: l.Kernel, Label: l.Label, Attrs: l.Attrs, Sync: l.Sync, Operands: make([]Operand, len(l.Operands))}
	for i, o := range l.Operands {
		kind := slices.Index(operandKinds, o.Kind)
		if kind < 0 {
			return out, fmt.Errorf("operand %d: unknown kind %q", i, o.Kind)
		}
		out.Operands[i] = Operand{Kind: OperandKind(kind), Index: int(o.Index)}
	}
	var err error
	out.Code, err = codesFromWire(l.Code)
	return out, err
}
