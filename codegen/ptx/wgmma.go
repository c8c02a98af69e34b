package ptx

// WGMMA is a shape of wgmma: D (64xN) += A (64xK) * B (KxN), one warpgroup. K is 32 bytes of an element.
type WGMMA struct {
	N    int
	A, B Type // BF16, F16, TF32, E4M3x4, E5M2x4, S8x4, U8x4; B is as A when None
	Out  Type // F32, F16x2 or S32; the usual one when None

	TransA, TransB bool // the operand lies by M or N in shared memory; 16-bit elements only
	NegA, NegB     bool // floats only
}

// K is the number of steps that the instruction sums over.
func (w WGMMA) K() int {
	switch w.A {
	case BF16, F16:
		return 16
	case TF32:
		return 8
	}
	return 32
}

// Accumulators is how many registers of type Out a thread holds.
func (w WGMMA) Accumulators() int {
	if w.Out == F16x2 {
		return w.N / 4
	}
	return w.N / 2
}

// wgmmaTypes are the names of element types in the mnemonic.
var wgmmaTypes = map[Type]string{
	BF16: "bf16", F16: "f16", TF32: "tf32", E4M3x4: "e4m3", E5M2x4: "e5m2", S8x4: "s8", U8x4: "u8", F32: "f32", F16x2: "f16", S32: "s32",
}

func (w WGMMA) filled() WGMMA {
	if w.B == None {
		w.B = w.A
	}
	if w.Out == None {
		w.Out = F32
		if w.A == S8x4 || w.A == U8x4 {
			w.Out = S32
		}
	}
	return w
}

// Wgmma adds the product to the accumulators d, asynchronously: they must not be touched before WgmmaWait. A is a
// descriptor or four registers, bDesc a descriptor. keep says whether the accumulators count: false replaces them (and
// they need not be defined), true adds, a predicate decides at run time.
func (b *Builder) Wgmma(w WGMMA, d []Reg, a Operand, bDesc Reg, keep Operand) {
	w = w.filled()
	form := wgmmaName(w.N, w.K(), wgmmaTypes[w.Out], wgmmaTypes[w.A], wgmmaTypes[w.B]) + "/ss"
	registers, fromRegisters := a.([]Reg)
	if fromRegisters {
		form = form[:len(form)-2] + "rs"
		a = registers
	}
	scale, isReg := keep.(Reg)
	if !isReg {
		adds, ok := keep.(bool)
		if !ok {
			b.fail("Wgmma: keep is a bool or a predicate, got %v", keep)
		}
		scale = b.constantPredicate(adds)
		if !adds {
			form += ".first"
		}
	}
	args := []any{d, a, bDesc, scale}
	integers := w.Out == S32
	halves := w.A == BF16 || w.A == F16
	if integers && (w.NegA || w.NegB) || !halves && (w.TransA || w.TransB) || fromRegisters && w.TransA {
		b.fail("Wgmma: signs are for floats, transposition for 16-bit elements in shared memory")
	}
	if !integers {
		args = append(args, sign(w.NegA), sign(w.NegB))
	}
	if halves && !fromRegisters {
		args = append(args, flag(w.TransA))
	}
	if halves {
		args = append(args, flag(w.TransB))
	}
	b.emit(form, args...)
}

func (b *Builder) constantPredicate(v bool) Reg {
	p := b.newReg(Pred)
	(&Builder{kernel: b.kernel}).emit("setp.ne.b32", p, flag(v), 0)
	return p
}

func sign(negative bool) int {
	if negative {
		return -1
	}
	return 1
}

func flag(v bool) int {
	if v {
		return 1
	}
	return 0
}

// WgmmaFence orders register accesses before it with the wgmma behind it: wanted before the first one and after every
// write to accumulators or to A in registers.
func (b *Builder) WgmmaFence() { b.emit("wgmma.fence.sync.aligned") }

// WgmmaCommit closes a group.
func (b *Builder) WgmmaCommit() { b.emit("wgmma.commit_group.sync.aligned") }

// WgmmaWait waits until at most n of the latest groups are still under way.
func (b *Builder) WgmmaWait(n int) { b.emit("wgmma.wait_group.sync.aligned", n) }
