package ir

import (
	"errors"
	"fmt"
	"slices"

	"llmc/internal/dtype"
)

// maxText bounds the text that Parse takes, in bytes.
const maxText = 16 << 20

// Parse reads the text form and verifies the module. Errors begin with "line:column: ".
func Parse(text string) (m *Module, err error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("1:1: text of %d bytes, at most %d", len(text), maxText)
	}
	p := &parser{lexer: lexer{text: text}, m: &Module{}, weights: map[string]*Value{}, funcAt: map[*Func]int{}, opAt: map[*Op]int{}}
	if err := p.run(p.module); err != nil {
		return nil, err
	}
	if err := Verify(p.m); err != nil {
		return nil, fmt.Errorf("%s: %w", position(text, p.origin(err)), err)
	}
	return p.m, nil
}

// ParseRecipe reads what Recipe.String prints and verifies it for a weight with cols elements a row. Errors of syntax begin with
// "line:column: ".
func ParseRecipe(text string, cols int64) (r *Recipe, err error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("1:1: text of %d bytes, at most %d", len(text), maxText)
	}
	p := &parser{lexer: lexer{text: text}}
	err = p.run(func() {
		r = p.recipe(0)
		if p.tok.kind != tokEnd {
			p.fail(p.tok.pos, "unexpected %v after the recipe", p.tok)
		}
	})
	if err != nil {
		return nil, err
	}
	return r, r.check(cols, 0)
}

// run reads the first token, then what read reads, and turns a syntax error into an error.
func (p *parser) run(read func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			bad, ok := r.(syntaxError)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("%s: %s", position(p.text, bad.pos), bad.msg)
		}
	}()
	p.next()
	read()
	return nil
}

// origin returns the offset of what a verification error is about.
func (p *parser) origin(err error) int {
	var at *VerifyError
	switch {
	case !errors.As(err, &at):
		return 0
	case at.Op == nil:
		return p.funcAt[at.Func]
	}
	return p.opAt[at.Op]
}

type parser struct {
	lexer
	m       *Module
	weights map[string]*Value
	locals  map[string]*Value // of the function being read
	funcAt  map[*Func]int     // byte offsets
	opAt    map[*Op]int
}

var declarations = []string{"cache", "weight", "func"}

func (p *parser) module() {
	if p.accept("module") {
		p.m.Name = p.want(tokString, "the module's name")
	}
	if p.accept("cards") {
		p.m.Cards = p.int()
	}
	for p.tok.kind != tokEnd {
		switch {
		case p.accept("cache"):
			p.cache()
		case p.accept("weight"):
			p.weight()
		case p.accept("func"):
			p.function()
		default:
			p.fail(p.tok.pos, "expected one of %q, found %v%s", declarations, p.tok, hint(p.tok.text, declarations))
		}
	}
}

// constants reads "{name=value, ...}" if it is there.
func (p *parser) constants(each func(name token)) {
	if !p.accept("{") {
		return
	}
	p.list("}", func() {
		name := p.tok
		p.want(tokName, "a name")
		p.expect("=")
		each(name)
	})
}

func (p *parser) cache() {
	pos := p.tok.pos
	c := &Cache{Name: p.want(tokGlobal, "@ and the cache's name")}
	fields := []string{"kind", "layers", "kv_heads", "dim", "rank", "dtype"}
	p.constants(func(name token) {
		switch name.text {
		case "kind":
			c.Kind = p.want(tokString, "a string")
		case "layers":
			c.Layers = p.int()
		case "kv_heads":
			c.KVHeads = p.int()
		case "dim":
			c.Dim = p.int()
		case "rank":
			c.Rank = p.int()
		case "dtype":
			at := p.tok.pos
			c.DType = p.dtype(p.want(tokString, "a string"), at)
		default:
			p.fail(name.pos, "unknown field %q of a cache%s", clip(name.text), hint(name.text, fields))
		}
	})
	if p.m.Cache(c.Name) != nil || len(p.m.Caches) == maxCaches {
		p.fail(pos, "cache @%s is declared twice, or there are more than %d", c.Name, maxCaches)
	}
	if err := c.check(); err != nil {
		p.fail(pos, "%v", err)
	}
	p.m.Caches = append(p.m.Caches, c)
}

func (p *parser) dtype(name string, pos int) dtype.Type {
	dt, err := dtype.Parse(name)
	if err != nil {
		p.fail(pos, "unknown dtype %q%s", clip(name), hint(name, []string{"f32", "f16", "bf16", "i32", "i8", "u8", "u4"}))
	}
	return dt
}

func (p *parser) weight() {
	pos := p.tok.pos
	w := &Weight{}
	w.Name = p.want(tokLocal, "% and the weight's name")
	w.Value.Weight = w
	p.expect(":")
	w.Type = p.typ()
	p.constants(func(name token) {
		switch name.text {
		case "axis":
			w.Axis = p.want(tokString, "a string")
		case "segment":
			w.Segment = p.int()
		case "stored":
			w.Stored = p.want(tokString, "a string")
		case "of", "blocks", "columns":
			p.part(w, name.text)
		default:
			p.fail(name.pos, "unknown field %q of a weight%s", clip(name.text), hint(name.text, []string{"axis", "segment", "stored", "of", "blocks", "columns"}))
		}
	})
	w.Recipe = w.ownTensor(p.m.Cards)
	if p.accept("=") {
		w.Recipe = p.recipe(0)
	}
	if p.weights[w.Name] != nil {
		p.fail(pos, "weight %%%s is declared twice", w.Name)
	}
	p.weights[w.Name] = &w.Value
	if err := w.check(p.m.Cards); err != nil {
		p.fail(pos, "%v", err)
	}
	p.m.Weights = append(p.m.Weights, w)
}

// part reads a field of a weight that cards share.
func (p *parser) part(w *Weight, field string) {
	if w.Part == nil {
		w.Part = &Part{}
	}
	pos, text := p.tok.pos, p.want(tokString, "a string")
	if field == "of" {
		w.Part.Of = text
		return
	}
	w.Part.Columns = field == "columns"
	var err error
	if w.Part.Blocks, err = parseBlocks(text); err != nil {
		p.fail(pos, "%v", err)
	}
}

func (p *parser) function() {
	pos := p.tok.pos
	f := &Func{Name: p.want(tokGlobal, "@ and the function's name")}
	if p.m.Func(f.Name) != nil || len(p.m.Funcs) == maxFuncs {
		p.fail(pos, "function @%s is declared twice, or there are more than %d", f.Name, maxFuncs)
	}
	p.funcAt[f] = pos
	p.locals = map[string]*Value{}
	p.expect("(")
	p.list(")", func() {
		name := p.tok
		p.want(tokLocal, "a parameter")
		p.expect(":")
		v := &Value{Type: p.typ()}
		p.define(name, v)
		f.Params = append(f.Params, v)
	})
	p.expect("->")
	p.expect("(")
	var results []Type
	p.list(")", func() { results = append(results, p.typ()) })
	p.expect("{")
	if p.accept("slots") {
		p.expect("[")
		f.Slots = p.dims()
	}
	for p.tok.kind != tokName || p.tok.text != "return" {
		f.Ops = append(f.Ops, p.op())
	}
	end := p.next()
	f.Results = p.operands("}")
	if len(results) != len(f.Results) {
		p.fail(end.pos, "function @%s returns %d values instead of %d", f.Name, len(f.Results), len(results))
	}
	for i, v := range f.Results {
		if v == nil || !v.Type.Equal(results[i]) {
			p.fail(end.pos, "result %d of function @%s is not %v", i, f.Name, results[i])
		}
	}
	f.Number()
	p.m.Funcs = append(p.m.Funcs, f)
}

// define enters a local under the name of its token; numbers only label it within the text.
func (p *parser) define(name token, v *Value) {
	if p.locals[name.text] != nil || p.weights[name.text] != nil {
		p.fail(name.pos, "%v is defined twice", name)
	}
	p.locals[name.text] = v
	if validName(name.text) {
		v.Name = name.text
	}
}

// operands reads values up to and including the punctuation end.
func (p *parser) operands(end string) []*Value {
	var values []*Value
	if p.accept(end) {
		return nil
	}
	for {
		values = append(values, p.operand())
		if p.accept(end) {
			return values
		}
		p.expect(",")
	}
}

func (p *parser) operand() *Value {
	if p.accept("_") {
		return nil
	}
	t := p.tok
	name := p.want(tokLocal, "a value")
	v := p.locals[name]
	if v == nil {
		v = p.weights[name]
	}
	if v == nil {
		p.fail(t.pos, "undefined value %v%s", t, hint(name, p.visible()))
	}
	return v
}

// visible returns the names that an operand could have meant, as many as a hint is worth.
func (p *parser) visible() []string {
	var names []string
	for _, known := range []map[string]*Value{p.locals, p.weights} {
		for name := range known {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (p *parser) op() *Op {
	sync := p.accept("sync")
	var names []token
	for {
		names = append(names, p.tok)
		p.want(tokLocal, "a value, \"sync\" or \"return\"")
		if p.accept("=") {
			break
		}
		p.expect(",")
	}
	kind := p.tok
	p.want(tokName, "an op")
	kernel := ""
	if p.accept("[") {
		kernel = p.want(tokName, "a kernel's name")
		p.expect("]")
	}
	var args []*Value
	for p.tok.kind == tokLocal || p.tok.text == "_" || p.tok.text == "," && len(args) > 0 {
		if len(args) > 0 {
			p.expect(",")
		}
		args = append(args, p.operand())
	}
	op, err := p.m.NewOp(kind.text, args, p.attrs(kind.text)...)
	if err != nil {
		p.fail(kind.pos, "%v", err)
	}
	op.Kernel, op.Sync = kernel, sync
	p.opAt[op] = names[0].pos
	p.results(op, names)
	return op
}

func (p *parser) attrs(kind string) []Attr {
	var attrs []Attr
	p.constants(func(name token) {
		want := Int
		if info := FindOp(kind); info != nil && info.attr(name.text) != nil {
			want = info.attr(name.text).Kind
		}
		attrs = append(attrs, Attr{name.text, p.attrValue(want)})
	})
	return attrs
}

// results reads the types of the results and checks them against those that the op table gives.
func (p *parser) results(op *Op, names []token) {
	if len(names) != len(op.Results) {
		p.fail(names[0].pos, "%s has %d results, not %d", op.Kind.Name, len(op.Results), len(names))
	}
	p.expect(":")
	for i, r := range op.Results {
		if i > 0 {
			p.expect(",")
		}
		pos := p.tok.pos
		if t := p.typ(); !t.Equal(r.Type) {
			p.fail(pos, "%s gives %v, not %v", op.Kind.Name, r.Type, t)
		}
		r.Place = p.place()
		p.define(names[i], r)
	}
}
