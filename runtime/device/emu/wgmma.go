package emu

import (
	"strconv"
	"strings"

	"llmc/runtime/device/emu/ptxtext"
)

// wgmmaState is what a warp has in flight.
type wgmmaState struct {
	ops    []*wgmmaOp
	owed   map[int32]int // accumulator registers: operations in flight on them
	group  uint32        // number of the group that collects now
	serial uint32        // wgmma executed
	b      []float64     // scratch: operand B by column
	zero   [256]bool     // scratch: empty columns of B
}

func (s *wgmmaState) reset() {
	s.ops, s.group, s.serial = s.ops[:0], 0, 0
	clear(s.owed)
}

// pending reports whether a register is an accumulator of an operation in flight.
func (s *wgmmaState) pending(r int32) bool { return s.owed[r] > 0 }

// wgmmaOp is one wgmma.mma_async of one warp in flight: its 16 rows of the 64.
type wgmmaOp struct {
	x            *wgmma
	pc           int
	group        uint32
	descA, descB descriptor
	a            [16][32]float64 // operand A where it comes from registers
	scaleD       bool
}

func (op *wgmmaOp) fault(w *warp, kind Kind, msg string) *Fault {
	w.pc = op.pc
	w.fail(kind, 0, "%s", msg)
	return w.fault
}

// wgmma is a decoded wgmma.mma_async.
type wgmma struct {
	n, k           int
	a, b           element
	d              accumulator
	rd             []int32
	ra             []int32 // nil where A is in shared memory
	descA, descB   int32
	scaleD         pred
	negA, negB     bool
	transA, transB bool // MN-major
}

// decodeWgmma decodes the wgmma family (PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions").
func decodeWgmma(d *decoder) {
	d.prog.wgmma = true
	switch {
	case hasMod(d.in, "fence"):
		d.fullWarp(func(w *warp) signal {
			w.fences++
			return goOn
		}, ClassTensor)
	case hasMod(d.in, "commit_group"):
		d.fullWarp(func(w *warp) signal {
			w.wg.group++
			return goOn
		}, ClassTensor)
	case hasMod(d.in, "wait_group"):
		if !d.nargs(1, 1) {
			return
		}
		n, _ := d.immediate(0, 7)
		d.fullWarp(func(w *warp) signal { return w.landWgmma(uint32(n)) }, ClassTensor)
	case hasMod(d.in, "mma_async") && !hasMod(d.in, "sp"):
		d.wgmmaAsync()
	default:
		d.unsupported("form")
	}
}

func (d *decoder) wgmmaAsync() {
	list := typesOf(d.in)
	if len(list) != 3 {
		d.errorf(d.in.Pos, "%s needs three types", d.in.Name())
		return
	}
	x := &wgmma{d: accumulator{list[0], hasMod(d.in, "satfinite")}}
	var okA, okB bool
	x.a, okA = elementOf(list[1])
	x.b, okB = elementOf(list[2])
	okShape := false
	for _, m := range d.in.Mods {
		if rest, ok := strings.CutPrefix(m, "m64n"); ok {
			n, k, _ := strings.Cut(rest, "k")
			x.n, _ = strconv.Atoi(n)
			x.k, _ = strconv.Atoi(k)
			okShape = x.n >= 8 && x.n <= 256 && x.n%8 == 0 && okA && x.k == 256/x.a.bits
		}
	}
	if !okShape || !okB || x.a.bits != x.b.bits || x.a.integer != x.b.integer || !x.accumulatorOK() {
		d.unsupported("shape or types")
		return
	}
	d.wgmmaOperands(x)
	in := d.fullWarp(x.run, ClassTensor)
	in.macs = uint32(16 * x.n * x.k)
}

func (x *wgmma) accumulatorOK() bool {
	t := x.d.t
	if x.a.integer {
		return t == typ{kSigned, 32, 1}
	}
	return t == typ{kFloat, 32, 1} || t == typ{kFloat, 16, 1} && x.a.bits <= 16
}

// wgmmaOperands decodes d, a, b-desc, scale-d{, scale-a, scale-b{, trans-a, trans-b}}; with A in registers there is no trans-a.
func (d *decoder) wgmmaOperands(x *wgmma) {
	if !d.nargs(4, 8) {
		return
	}
	args := d.in.Args
	x.rd = d.fragment(&args[0], x.n/2/x.d.perReg(), true)
	d.dsts = nil // they are written when the operation lands
	desc := typ{kBits, 64, 1}
	if args[1].Kind == ptxtext.VectorOperand {
		x.ra = d.fragment(&args[1], 4, false)
	} else {
		x.descA = d.src(&args[1], desc)
	}
	x.descB = d.src(&args[2], desc)
	x.scaleD = d.predSrc(&args[3])
	rest := args[4:]
	if x.a.integer {
		if len(rest) != 0 {
			d.errorf(d.in.Pos, "%s: too many operands", d.in.Name())
		}
		return
	}
	want := 2
	if x.a.bits == 16 {
		want = 4
		if x.ra != nil {
			want = 3
		}
	}
	if len(rest) != want {
		d.errorf(d.in.Pos, "%s has %d operands, expected %d", d.in.Name(), len(args), want+4)
		return
	}
	x.negA, x.negB = d.scale(&rest[0]), d.scale(&rest[1])
	if want == 4 {
		x.transA = d.flag(&rest[2])
	}
	if want >= 3 {
		x.transB = d.flag(&rest[want-1])
	}
}

func (d *decoder) scale(o *ptxtext.Operand) (negative bool) {
	if v := int64(o.Num.Bits); o.Kind != ptxtext.NumberOperand || v != 1 && v != -1 {
		d.errorf(o.Pos, "a scale must be 1 or -1")
	}
	return int64(o.Num.Bits) < 0
}

func (d *decoder) flag(o *ptxtext.Operand) bool {
	if o.Kind != ptxtext.NumberOperand || o.Num.Bits > 1 {
		d.errorf(o.Pos, "a transpose flag must be 0 or 1")
	}
	return o.Num.Bits == 1
}

// run issues the operation: operands are checked and held, the result comes at the wait.
func (x *wgmma) run(w *warp) signal {
	if !x.ordered(w) {
		return goOn
	}
	op := &wgmmaOp{x: x, pc: w.pc, group: w.wg.group}
	var ok bool
	if op.descB, ok = w.descriptor(x.descB); !ok {
		return goOn
	}
	if x.ra == nil {
		if op.descA, ok = w.descriptor(x.descA); !ok {
			return goOn
		}
	}
	v := x.scaleD.value(w)
	if v != 0 && v != allLanes {
		w.fail(BadOperand, firstLane(v), "scale-d differs between lanes")
		return goOn
	}
	op.scaleD = v != 0
	if !w.agree(op) || !x.hold(w, op, true) {
		return goOn
	}
	x.readA(w, op)
	if w.wg.owed == nil {
		w.wg.owed = map[int32]int{}
	}
	for _, r := range x.rd {
		w.wg.owed[r]++
		w.init[r] = 0
	}
	w.wg.ops = append(w.wg.ops, op)
	return goOn
}

// ordered checks fences and definedness of the registers. Accumulators in flight may be used again without a fence.
func (x *wgmma) ordered(w *warp) bool {
	if len(w.cta.warps)/4*4 <= w.index {
		w.fail(Divergence, 0, "the warp belongs to no warpgroup of four warps")
		return false
	}
	if !x.scaleD.ok(w) || x.ra == nil && !w.defined(x.descA) || !w.defined(x.descB) || !w.defined(x.ra...) {
		return false
	}
	if w.fences == firstFence {
		w.fail(MissingFence, 0, "no wgmma.fence came before the first wgmma.mma_async")
		return false
	}
	for _, r := range x.ra {
		if w.stamp[r] == w.fences {
			w.fail(MissingFence, 0, "register %s of A was written after the last wgmma.fence", w.prog.regNames[r])
			return false
		}
	}
	reads := x.scaleD.value(w) != 0
	for _, r := range x.rd {
		if w.wg.pending(r) {
			continue
		}
		if reads && !w.defined(r) {
			return false
		}
		if w.stamp[r] == w.fences {
			w.fail(MissingFence, 0, "accumulator %s was written after the last wgmma.fence", w.prog.regNames[r])
			return false
		}
	}
	return true
}

const firstFence = 1 // value of warp.fences before any wgmma.fence
