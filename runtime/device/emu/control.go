package emu

import (
	"strings"

	"llmc/runtime/device/emu/ptxtext"
)

// branch decodes bra. The guard is the condition.
func (d *decoder) branch() {
	if !d.nargs(1, 1) {
		return
	}
	o := d.in.Args[0]
	s, ok := d.lookup(o.Name)
	if !ok || s.kind != symLabel {
		d.errorf(o.Pos, "no label %s", o.Name)
		return
	}
	d.branchTo(s.label, hasMod(d.in, "uni"))
}

func (d *decoder) branchTo(l *label, uniform bool) {
	pos := d.in.Pos
	target := new(int)
	d.ends = append(d.ends, func() {
		if *target = l.pc; l.pc < 0 || l.pc >= len(d.prog.code) {
			d.errorf(pos, "branch to a label without code")
		}
	})
	d.emit(func(w *warp) signal {
		if w.exec == w.active {
			w.pc = *target
			return jump
		}
		if uniform {
			w.fail(Divergence, firstLane(w.active&^w.exec), "bra.uni is taken by lanes %#08x and not by lanes %#08x", w.exec, w.active&^w.exec)
			return goOn
		}
		w.target = *target
		return split
	}, ClassControl)
}

func (d *decoder) leave() {
	if !d.nargs(0, 0) {
		return
	}
	if d.ret != nil && d.in.Op == "ret" {
		d.branchTo(d.ret, false)
		return
	}
	d.emit(func(w *warp) signal {
		w.cta.progress++
		return finish
	}, ClassControl)
}

// call inlines a function: its registers and local variables are new for every call site. Parameters in .param space stand for
// the caller's variables; registers are copied in and out.
func (d *decoder) call() {
	results, name, args, ok := d.callParts()
	if !ok {
		return
	}
	f := d.mod.funcs[name]
	switch {
	case f == nil || f.Entry:
		d.unsupported("there is no function " + name + " in the module (indirect calls and linking are not supported)")
		return
	case f.Declared: // such as __assertfail: code that calls it may never run
		d.emit(func(w *warp) signal {
			w.fail(Trapped, firstLane(w.exec), "function %s is declared but not defined", name)
			return goOn
		}, ClassControl)
		return
	case len(f.Params) != len(args) || len(f.Returns) != len(results):
		d.errorf(d.in.Pos, "call of %s with %d arguments and %d results, it has %d and %d", name, len(args), len(results), len(f.Params), len(f.Returns))
		return
	case len(d.calls) >= maxCallDeep:
		d.errorf(d.in.Pos, "calls nested deeper than %d: recursion is not supported", maxCallDeep)
		return
	}
	for _, c := range d.calls {
		if c == name {
			d.unsupported("recursion")
			return
		}
	}
	d.inline(f, results, args)
}

func (d *decoder) callParts() (results []ptxtext.Operand, name string, args []ptxtext.Operand, ok bool) {
	list := d.in.Args
	if len(list) > 0 && list[0].Kind == ptxtext.ListOperand {
		results, list = list[0].List, list[1:]
	}
	if len(list) == 0 || list[0].Kind != ptxtext.NameOperand || len(list) > 2 {
		d.errorf(d.in.Pos, "call needs a function name and lists of arguments")
		return nil, "", nil, false
	}
	name, list = list[0].Name, list[1:]
	if len(list) == 1 {
		args = list[0].List
	}
	return results, name, args, true
}

func (d *decoder) inline(f *ptxtext.Func, results, args []ptxtext.Operand) {
	in, callerScopes, callerRet := d.in, d.scopes, d.ret
	after := &label{-1}
	if d.guard >= 0 { // lanes whose guard does not hold go around the whole body
		d.not = !d.not
		d.branchTo(after, false)
		d.guard, d.not = -1, false
	}
	formals := scope{}
	for i, v := range f.Params {
		d.bindParam(v, &args[i], formals)
	}
	for i, v := range f.Returns {
		d.bindReturn(v, &results[i], formals)
	}
	d.scopes = []scope{callerScopes[0], formals}
	end := &label{-1}
	d.ret = end
	d.calls = append(d.calls, f.Name)
	d.body(f.Body)
	d.calls = d.calls[:len(d.calls)-1]
	end.pc = len(d.prog.code)
	d.scopes, d.ret, d.in, d.guard, d.not = callerScopes, callerRet, in, -1, false
	for i, v := range f.Returns {
		d.copyResult(formals[v.Name], &results[i])
	}
	after.pc = len(d.prog.code)
	d.emit(func(*warp) signal { return goOn }, ClassControl) // the labels need code to stand at
}

func (d *decoder) bindParam(v *ptxtext.Var, arg *ptxtext.Operand, formals scope) {
	t := typeWords[v.Type]
	if v.Space == "param" {
		s, ok := d.lookup(arg.Name)
		if arg.Kind != ptxtext.NameOperand || !ok || s.kind != symVar {
			d.errorf(arg.Pos, "argument for .param %s must be a .param variable", v.Name)
		}
		formals[v.Name] = s
		return
	}
	s := d.newSymbol(v.Name, t, v.Vec)
	formals[v.Name] = s
	switch s.kind {
	case symPred:
		src := d.predSrc(arg)
		d.emit(func(w *warp) signal { return w.copyPred(s.reg, src) }, ClassControl)
	case symReg:
		d.emit(apply1(s.reg, d.src(arg, t), copyLanes), ClassControl)
	default:
		d.copyParts(s.parts, d.elements(arg), t)
	}
}

// copyParts copies a vector argument element by element.
func (d *decoder) copyParts(to []int32, from []ptxtext.Operand, t typ) {
	if len(to) != len(from) {
		d.errorf(d.in.Pos, "vectors of %d and %d elements", len(to), len(from))
		return
	}
	for i := range from {
		d.emit(apply1(to[i], d.src(&from[i], t), copyLanes), ClassControl)
	}
}

func (d *decoder) bindReturn(v *ptxtext.Var, result *ptxtext.Operand, formals scope) {
	if v.Space != "param" {
		formals[v.Name] = d.newSymbol(v.Name, typeWords[v.Type], v.Vec)
		return
	}
	s, ok := d.lookup(result.Name)
	if result.Kind != ptxtext.NameOperand || !ok || s.kind != symVar {
		d.errorf(result.Pos, "result for .param %s must be a .param variable", v.Name)
	}
	formals[v.Name] = s
}

func (d *decoder) copyResult(s symbol, result *ptxtext.Operand) {
	switch {
	case result.Kind == ptxtext.SinkOperand:
	case s.kind == symPred:
		dst := d.predDst(result.Name, result.Pos)
		d.emit(func(w *warp) signal { return w.copyPred(dst, pred{s.reg, false}) }, ClassControl)
	case s.kind == symReg:
		d.emit(apply1(d.dst(result, s.t), s.reg, copyLanes), ClassControl)
	case s.kind == symVector:
		list := d.elements(result)
		if len(list) != len(s.parts) {
			d.errorf(d.in.Pos, "vectors of %d and %d elements", len(s.parts), len(list))
			return
		}
		for i := range list {
			d.emit(apply1(d.dst(&list[i], s.t), s.parts[i], copyLanes), ClassControl)
		}
	}
}

func (w *warp) copyPred(dst int32, src pred) signal {
	if src.ok(w) {
		w.setPred(dst, src.value(w))
	}
	return goOn
}

// misc decodes instructions that do nothing here or only mark something.
func decodeNothing(d *decoder) {
	d.emit(func(w *warp) signal { return goOn }, ClassControl)
}

// decodeDependency notes which warps have waited for the launch before. Dependents are started when this one has ended.
func decodeDependency(d *decoder) {
	waits := hasMod(d.in, "wait")
	d.emit(func(w *warp) signal {
		w.waited = w.waited || waits
		return goOn
	}, ClassControl)
}

func decodeTrap(d *decoder) {
	d.emit(func(w *warp) signal {
		w.fail(Trapped, firstLane(w.exec), "the kernel executed %s", w.prog.code[w.pc].name)
		return goOn
	}, ClassControl)
}

// decodeNanosleep lets other warps run.
func decodeNanosleep(d *decoder) {
	d.emit(func(w *warp) signal {
		w.cta.polled = true
		return yield
	}, ClassControl)
}

// decodeSetmaxnreg checks the form alone: the emulator has registers for everybody.
func decodeSetmaxnreg(d *decoder) {
	if !d.nargs(1, 1) {
		return
	}
	n := d.in.Args[0].Num.Bits
	if !strings.Contains(d.in.Name(), ".sync.aligned.u32") || n < 24 || n > 256 || n%8 != 0 {
		d.errorf(d.in.Pos, "setmaxnreg.inc|dec.sync.aligned.u32 takes a multiple of 8 from 24 to 256")
		return
	}
	d.collective(func(*warp) signal { return goOn }, ClassControl)
}

// collective emits an instruction that all lanes of the warp that still exist must execute together.
func (d *decoder) collective(run func(w *warp) signal, class Class) *inst {
	in := d.emit(nil, class)
	in.whole = true
	in.run = func(w *warp) signal {
		if w.exec|w.exited == allLanes {
			return run(w)
		}
		if w.exec == 0 {
			return goOn // the guard is false for everybody here
		}
		return w.gather()
	}
	return in
}

// fullWarp is collective for instructions that need all 32 lanes.
func (d *decoder) fullWarp(run func(w *warp) signal, class Class) *inst {
	return d.collective(func(w *warp) signal {
		if w.exec != allLanes {
			w.fail(Divergence, firstLane(w.exec), "it needs all 32 lanes, lanes %#08x have exited or were never there", w.exited)
			return goOn
		}
		return run(w)
	}, class)
}

// gather waits for lanes that are elsewhere; lanes that are here with a false guard will not come.
func (w *warp) gather() signal {
	if off := w.active &^ w.exec; off != 0 {
		w.fail(Divergence, firstLane(off), "the guard holds for lanes %#08x and not for lanes %#08x; all lanes must execute it", w.exec, off)
		return goOn
	}
	return wait
}
