package engine

import (
	"slices"

	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// Program is the launch list of one function for one target. It is data: names of kernels that the
// runtime owns, and operands. Sizes are forms of T, B and R, bound to the launch settings at load.
type Program struct {
	Func   string `msgpack:"func"`
	Target string `msgpack:"target"`
	// Cards is how many GPUs run the program together, each over its own parts of weights and caches; 0: one alone.
	Cards int `msgpack:"cards,omitempty"`
	// Slots are the byte sizes of the activation arena's parts; slot i begins where slot i-1 ends (64-byte aligned).
	Slots   []sym.Dim `msgpack:"slots"`
	Buffers []Buffer  `msgpack:"buffers"`
	Weights []string  `msgpack:"weights"` // names of plan weights, by operand index
	// Shares say what a card has of each weight, by operand index; nil of programs for one card.
	Shares   []Share  `msgpack:"shares,omitempty"`
	Caches   []Cache  `msgpack:"caches"`
	Launches []Launch `msgpack:"launches"`
	Logits   int      `msgpack:"logits"` // buffer [R, V] that sampling reads, of the function "step"
	// Results are what other functions give.
	Results []Result `msgpack:"results,omitempty"`
	// Auxiliary are entries of the plan's code that serve the program between steps.
	Auxiliary []Auxiliary `msgpack:"auxiliary,omitempty"`
	// Adapted are what runs in place of launches in steps with adapters, in their order, of plans that were built for that.
	Adapted []Adapted `msgpack:"adapted,omitempty"`
	// Persistent are entries that stand for many launches in steps of few tokens, the fewest first; a device may run them or the launches.
	Persistent []Persistent `msgpack:"persistent,omitempty"`
	// Unpersistent says for which steps of few tokens there is no such entry, and why.
	Unpersistent []string `msgpack:"unpersistent,omitempty"`
}

// Buffer is a matrix of activations [Rows, Cols] inside a slot. Views share a slot.
type Buffer struct {
	Name   string  `msgpack:"name"`
	Slot   int     `msgpack:"slot"`
	Rows   sym.Dim `msgpack:"rows"`
	Cols   int64   `msgpack:"cols"`
	Offset int64   `msgpack:"offset"` // bytes from the slot's start to row 0
	Stride int64   `msgpack:"stride"` // bytes from a row to the next
	// DType is the element type of a plain buffer. A quantized activation has a Format instead:
	// its rows are records of codes, scales and sums (layout.Activation gives the offsets).
	DType  dtype.Type `msgpack:"dtype"`
	Format string     `msgpack:"format,omitempty"` // "", "q16t", "q16g", "q8t", "q8g", "s8t", "e4m3t", "e4m3g", "f32m"
	Group  int64      `msgpack:"group,omitempty"`  // K covered by one scale (q16g, q8g) or one sum (q16t, q8t: segment length)
}

// StepFunc is the function that serves generation: its rows are sampled. Others run over whole sequences, all tokens of one in a step.
const StepFunc = "step"

// Result is a buffer of numbers that a function gives, by the name that its value has in the IR, such as "embedding".
type Result struct {
	Name   string `msgpack:"name"`
	Buffer int    `msgpack:"buffer"`
}

// ResultBuffers returns the buffers of the results, under these' names.
func (p *Program) ResultBuffers() []Buffer {
	var results []Buffer
	for _, r := range p.Results {
		b := p.Buffers[r.Buffer]
		b.Name = r.Name
		results = append(results, b)
	}
	return results
}

// Cache is one row of the module's cache table.
type Cache struct {
	Name    string     `msgpack:"name"`
	Kind    string     `msgpack:"kind"` // Paged, Cross, State, or Latent, whose rows of dim channels are keys, and the first rank channels of them values
	Layers  int        `msgpack:"layers"`
	KVHeads int        `msgpack:"kv_heads"`
	Dim     int        `msgpack:"dim"`
	Rank    int        `msgpack:"rank,omitempty"`
	DType   dtype.Type `msgpack:"dtype"`
}

// OperandKind tells which table of the program an operand indexes.
type OperandKind uint8

// The kinds of operands. Input operands index the Inputs table; None stands for an absent optional operand.
const (
	OperandNone OperandKind = iota
	OperandBuffer
	OperandWeight
	OperandCache
	OperandInput
)

// Operand is one argument of a launch.
type Operand struct {
	Kind  OperandKind `msgpack:"kind"`
	Index int         `msgpack:"index"`
}

// Inputs are the step's arrays that launches may read, by operand index: those of Step, and "items", the work list of attention on
// devices that want one (see Item), and how rows are sampled, on devices that do so: "sampling" (see SampleRow), "edits", "masks", "drafts" and "seen".
// "tickets" are counters that products use for themselves, zero before and after each launch. "peers" says where cards that share a model exchange rows: see Peers.
var Inputs = []string{"ids", "positions", "ropelen", "slots", "rows", "context", "page_start", "pages", "items",
	"sampling", "edits", "masks", "drafts", "tickets", "seen", "types", "seq_start", "soft",
	"source_length", "source_start", "source_pages", "peers"}

// InputOperand is the operand that stands for an array of Inputs; its index is negative where there is none of that name.
func InputOperand(name string) Operand {
	return Operand{Kind: OperandInput, Index: slices.Index(Inputs, name)}
}

// Launch runs one kernel. Operands are in the order of the kernel's ABI row, results after arguments.
type Launch struct {
	Kernel   string    `msgpack:"kernel"`
	Label    string    `msgpack:"label"` // where it comes from: "layer 3 qkv"
	Operands []Operand `msgpack:"operands"`
	Attrs    []Attr    `msgpack:"attrs,omitempty"`
	// Sync is set when the launch reads what an earlier launch since the last Sync wrote: all workers wait before it.
	Sync bool `msgpack:"sync,omitempty"`
	// Code is how a launch runs on a device that takes its kernels from the plan; nil elsewhere. The first whose limit admits the
	// step is run: limits ascend, and the last has none. Which one it is changes no bit of a result.
	Code []Code `msgpack:"code,omitempty"`
}

// Code is an entry of the plan's code for the program's target, and the shape of its launch. Its parameters are slots of 8 bytes: the
// addresses of the launch's operands in order (0 where absent; of a cache, the launch's layer in page 0), then T, B, R, the
// positions of a page and the bytes from a page to the next.
type Code struct {
	Entry   string
	Grid    [3]Extent // CTAs
	Threads int       // of a CTA
	Shared  int       // dynamic shared memory, bytes
	Limit   Limit     // the steps it serves
	// Early: the entry waits by itself for what was launched before it, so that it may be started while that comes to its end. Until then it reads weights
	// alone.
	Early bool
}

// Limit admits steps in which Of is at most Max. The zero Limit admits all.
type Limit struct {
	Of  sym.Dim
	Max int64
}

// CodeOf returns the launch's entry for steps of the given sizes, nil where it has none.
func (l *Launch) CodeOf(env sym.Env) *Code {
	i := slices.IndexFunc(l.Code, func(c Code) bool { return c.Limit.Admits(env) })
	if i < 0 {
		return nil
	}
	return &l.Code[i]
}

// Admits tells whether the step is within the limit.
func (l Limit) Admits(env sym.Env) bool {
	if l.Max == 0 {
		return true
	}
	n, err := l.Of.Eval(env)
	return err == nil && n <= l.Max
}

// Extent is a number of CTAs: Of divided by Per, rounded up.
type Extent struct {
	Of  sym.Dim
	Per int64
}

// Eval returns the number for a step.
func (e Extent) Eval(env sym.Env) (int64, error) {
	n, err := e.Of.Eval(env)
	return (n + e.Per - 1) / e.Per, err
}

// Attr is a named scalar of a launch. Exactly one of the values is meant, as the kernel's ABI row says.
type Attr struct {
	Name  string  `msgpack:"name"`
	Int   int64   `msgpack:"int,omitempty"`
	Float float64 `msgpack:"float,omitempty"`
	Text  string  `msgpack:"text,omitempty"`
}

// Int returns the integer attribute name, def when the launch has none.
func (l *Launch) Int(name string, def int64) int64 {
	for i := range l.Attrs {
		if l.Attrs[i].Name == name {
			return l.Attrs[i].Int
		}
	}
	return def
}

// Float returns the number attribute name, def when the launch has none.
func (l *Launch) Float(name string, def float64) float64 {
	for i := range l.Attrs {
		if l.Attrs[i].Name == name {
			return l.Attrs[i].Float
		}
	}
	return def
}

// Text returns the string attribute name, def when the launch has none.
func (l *Launch) Text(name, def string) string {
	for i := range l.Attrs {
		if l.Attrs[i].Name == name {
			return l.Attrs[i].Text
		}
	}
	return def
}
