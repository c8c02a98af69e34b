package emu

import (
	"fmt"
	"strconv"

	"llmc/runtime/device/emu/ptxtext"
)

// symbol is what a name means in a scope.
type symbol struct {
	kind  symbolKind
	t     typ
	reg   int32   // symReg, symPred
	parts []int32 // symVector
	v     *variable
	label *label
}

type symbolKind uint8

const (
	symReg symbolKind = iota
	symPred
	symVector
	symVar // memory: v says where
	symLabel
)

// label is a place in the code, known when its block has been decoded.
type label struct{ pc int }

type scope map[string]symbol

// decoder turns one kernel into a program. Errors stick: after the first, nothing is emitted.
type decoder struct {
	mod    *Module
	prog   *program
	scopes []scope
	consts map[uint64]int32
	fixed  map[string]int32 // special registers by name
	names  map[string]string
	text   []byte   // scratch of name
	calls  []string // functions being inlined
	ret    *label   // where ret goes; nil in the kernel itself
	in     *ptxtext.Inst
	dsts   []int32
	guard  int32
	not    bool
	err    error
	ends   []func()                   // run when all labels are known
	static map[*ptxtext.Var]*variable // shared variables of functions, one for all call sites
}

func decode(m *Module, f *ptxtext.Func) (*program, error) {
	p := &program{name: f.Name, mod: m, preds: fixedPreds, predNames: []string{"0", "1"}, limits: f.Limits}
	d := &decoder{mod: m, prog: p, consts: map[uint64]int32{}, fixed: map[string]int32{}, names: map[string]string{}, static: map[*ptxtext.Var]*variable{}, guard: -1, in: &ptxtext.Inst{Pos: f.Pos}}
	d.scopes = []scope{{}}
	d.moduleShared()
	d.kernelParams(f)
	d.body(f.Body)
	if d.err == nil {
		d.in, d.guard = &ptxtext.Inst{Pos: f.Pos, Op: "exit"}, -1
		d.emit(func(w *warp) signal { return finish }, ClassControl)
	}
	for _, end := range d.ends {
		if d.err == nil {
			end()
		}
	}
	if d.err != nil {
		return nil, d.err
	}
	return p, nil
}

func (d *decoder) errorf(pos ptxtext.Pos, format string, args ...any) {
	if d.err == nil {
		d.err = &DecodeError{d.prog.name, pos.Line, pos.Col, fmt.Sprintf(format, args...)}
	}
}

// moduleShared places the module's shared variables: every kernel sees all of them at the same addresses.
func (d *decoder) moduleShared() {
	for _, v := range d.mod.text.Vars {
		if v.Space == "shared" {
			x := *d.mod.vars[v.Name]
			d.placeShared(&x)
			d.scopes[0][v.Name] = symbol{kind: symVar, v: &x}
		}
	}
}

func (d *decoder) placeShared(v *variable) {
	if v.dyn {
		d.prog.usesDyn = true
		d.prog.dynAlign = max(d.prog.dynAlign, v.align)
		return
	}
	at := alignUp(d.prog.shared, v.align)
	v.addr = uint64(sharedBase + at)
	if d.prog.shared = at + v.size; d.prog.shared > maxShared {
		d.errorf(v.decl.Pos, "more than %d bytes of shared memory", maxShared)
	}
	d.prog.dynAlign = max(d.prog.dynAlign, v.align)
}

func (d *decoder) kernelParams(f *ptxtext.Func) {
	for _, v := range f.Params {
		x, err := newVariable(v)
		if err != nil || x.space != spaceParam {
			d.errorf(v.Pos, "bad parameter %s", v.Name)
			return
		}
		at := alignUp(d.prog.paramSize, x.align)
		if at+x.size > 4<<10 {
			d.errorf(v.Pos, "more than 4096 bytes of parameters")
			return
		}
		x.addr = paramWindow + uint64(at)
		d.prog.paramSize = at + x.size
		d.prog.params = append(d.prog.params, param{v.Name, at, x.size})
		d.scopes[0][v.Name] = symbol{kind: symVar, v: x}
	}
}

// body decodes the statements of a block in a scope of its own.
func (d *decoder) body(stmts []ptxtext.Stmt) {
	s := scope{}
	for _, st := range stmts {
		if st.Label == "" {
			continue
		}
		if _, ok := s[st.Label]; ok {
			d.errorf(st.Pos, "label %s is defined twice", st.Label)
		}
		s[st.Label] = symbol{kind: symLabel, label: &label{-1}}
	}
	d.scopes = append(d.scopes, s)
	for i := range stmts {
		if d.err != nil {
			return
		}
		d.statement(&stmts[i], s)
	}
	d.scopes = d.scopes[:len(d.scopes)-1]
}

func (d *decoder) statement(st *ptxtext.Stmt, s scope) {
	switch {
	case st.Label != "":
		s[st.Label].label.pc = len(d.prog.code)
	case st.Decl != nil:
		d.declare(st.Decl, s)
	case st.Inst != nil:
		d.instruction(st.Inst)
	default:
		d.body(st.Block)
	}
}

func (d *decoder) declare(v *ptxtext.Var, s scope) {
	if _, ok := s[v.Name]; ok {
		d.errorf(v.Pos, "%s is declared twice", v.Name)
		return
	}
	if v.Space == "reg" {
		d.declareRegs(v, s)
		return
	}
	if x := d.static[v]; x != nil {
		s[v.Name] = symbol{kind: symVar, v: x}
		return
	}
	x, err := newVariable(v)
	if err != nil {
		d.errorf(v.Pos, "%s", err.(*ptxtext.Error).Msg)
		return
	}
	switch x.space {
	case spaceShared:
		if len(v.Init) > 0 {
			d.errorf(v.Pos, "shared variables cannot be initialised")
		}
		d.placeShared(x)
		d.static[v] = x
	case spaceLocal, spaceParam:
		d.placeLocal(x)
	case spaceGlobal:
		x = d.mod.placeStatic(x)
	default:
		d.errorf(v.Pos, ".%s variable inside a function", v.Space)
	}
	s[v.Name] = symbol{kind: symVar, v: x}
}

// placeLocal puts a variable into the thread's local memory. Parameters of calls live there too.
func (d *decoder) placeLocal(v *variable) {
	at := alignUp(d.prog.local, v.align)
	if at+v.size > maxLocal {
		d.errorf(v.decl.Pos, "more than %d bytes of local memory", maxLocal)
		return
	}
	v.space, v.addr = spaceLocal, uint64(at)
	d.prog.local = at + v.size
}

func (d *decoder) declareRegs(v *ptxtext.Var, s scope) {
	t := typeWords[v.Type]
	if t.bits == 0 || len(v.Dims) > 0 {
		d.errorf(v.Pos, "register %s of type .%s", v.Name, v.Type)
		return
	}
	if v.Range == 0 {
		s[v.Name] = d.newSymbol(v.Name, t, v.Vec)
		return
	}
	for i := range v.Range {
		name := v.Name + strconv.Itoa(i)
		if _, ok := s[name]; ok {
			d.errorf(v.Pos, "%s is declared twice", name)
		}
		s[name] = d.newSymbol(name, t, v.Vec)
		if d.err != nil {
			return
		}
	}
}

func (d *decoder) newSymbol(name string, t typ, vec int) symbol {
	if t.kind == kPred {
		return symbol{kind: symPred, t: t, reg: d.newPred(name)}
	}
	if vec == 1 {
		return symbol{kind: symReg, t: t, reg: d.newReg(name)}
	}
	sym := symbol{kind: symVector, t: t}
	for i := range vec {
		sym.parts = append(sym.parts, d.newReg(name+"."+"xyzw"[i:i+1]))
	}
	return sym
}

func (d *decoder) newReg(name string) int32 {
	if d.prog.regs >= maxRegs {
		d.errorf(d.in.Pos, "more than %d registers", maxRegs)
		return 0
	}
	d.prog.regs++
	d.prog.regNames = append(d.prog.regNames, name)
	return int32(d.prog.regs - 1)
}

func (d *decoder) newPred(name string) int32 {
	if d.prog.preds >= maxRegs {
		d.errorf(d.in.Pos, "more than %d predicates", maxRegs)
		return 0
	}
	d.prog.preds++
	d.prog.predNames = append(d.prog.predNames, name)
	return int32(d.prog.preds - 1)
}

// lookup finds a name: scopes from the inside out, then the module.
func (d *decoder) lookup(name string) (symbol, bool) {
	for i := len(d.scopes) - 1; i >= 0; i-- {
		if s, ok := d.scopes[i][name]; ok {
			return s, true
		}
	}
	if v := d.mod.vars[name]; v != nil {
		return symbol{kind: symVar, v: v}, true
	}
	return symbol{}, false
}

// name is d.in.Name, one string for all instructions of a name.
func (d *decoder) name() string {
	d.text = append(d.text[:0], d.in.Op...)
	for _, m := range d.in.Mods {
		d.text = append(append(d.text, '.'), m...)
	}
	name, ok := d.names[string(d.text)]
	if !ok {
		name = string(d.text)
		d.names[name] = name
	}
	return name
}

// emit appends an instruction under the guard of the current one.
func (d *decoder) emit(run func(w *warp) signal, class Class) *inst {
	if len(d.prog.code) >= maxProgram {
		d.errorf(d.in.Pos, "more than %d instructions after inlining", maxProgram)
		return &inst{}
	}
	d.prog.code = append(d.prog.code, inst{
		run: run, guard: d.guard, not: d.not, line: d.in.Line, name: d.name(), class: class, dsts: d.dsts,
	})
	d.dsts = nil
	return &d.prog.code[len(d.prog.code)-1]
}

func (d *decoder) instruction(in *ptxtext.Inst) {
	d.in, d.dsts, d.guard, d.not = in, nil, -1, in.GuardNot
	if in.Guard != "" {
		s, ok := d.lookup(in.Guard)
		if !ok || s.kind != symPred {
			d.errorf(in.Pos, "%s is not a predicate", in.Guard)
			return
		}
		d.guard = s.reg
	}
	switch in.Op {
	case "call":
		d.call()
		return
	case "bra":
		d.branch()
		return
	case "ret", "exit":
		d.leave()
		return
	}
	op, ok := opcodes[in.Op]
	if ok && len(in.Mods) == 0 && !bareOps[in.Op] {
		d.errorf(in.Pos, "%s needs modifiers", in.Op)
		return
	}
	if !ok {
		d.errorf(in.Pos, "instruction %s is not supported", in.Name())
		return
	}
	if !op.accepts(in.Mods) {
		d.errorf(in.Pos, "%s has no type that %s takes", in.Name(), in.Op)
		return
	}
	op.decode(d)
}

// bareOps lists the instructions that may come without modifiers.
var bareOps = map[string]bool{"trap": true, "brkpt": true, "pmevent": true, "discard": true}

// nargs checks the number of operands.
func (d *decoder) nargs(low, high int) bool {
	if n := len(d.in.Args); n < low || n > high {
		d.errorf(d.in.Pos, "%s has %d operands, expected %d to %d", d.in.Name(), n, low, high)
		return false
	}
	return d.err == nil
}

// unsupported reports a form of a known instruction that cannot be run.
func (d *decoder) unsupported(why string) {
	d.errorf(d.in.Pos, "%s is not supported: %s", d.in.Name(), why)
}
