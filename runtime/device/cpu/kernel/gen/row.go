package main

// Registers of row kernels.
const (
	out   = "DI"
	in    = "SI"
	other = "DX"
	third = "R8"
	count = "CX" // elements left
	work  = "AX"
)

// rowKernel is a kernel over the n elements of rows. Inside walk, load and store refer to the vector of elements at hand.
type rowKernel struct {
	*function
	isa
	vectorIndex int  // of the unrolled round
	masked      bool // the vector is the last, short one
}

// rowFamily is one row kernel: its Go signature and what it does with an instruction set.
type rowFamily struct {
	name, doc, params, result string
	write                     func(k *rowKernel)
}

// pointer is a row that walk advances: its register and the bytes of an element.
type pointer struct {
	register string
	element  int
}

func f32s(registers ...string) []pointer {
	var list []pointer
	for _, r := range registers {
		list = append(list, pointer{r, 4})
	}
	return list
}

// arguments loads parameters into registers, in pairs: parameter, register.
func (k *rowKernel) arguments(pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		k.op("MOVQ", k.param(pairs[i]), pairs[i+1])
	}
}

// walk writes body for rounds of unroll vectors, for the single vectors that are left, and for a last short one.
func (k *rowKernel) walk(rows []pointer, unroll int, body func()) {
	again, few, single := k.newLabel("round"), k.newLabel("few"), k.newLabel("single")
	last, done := k.newLabel("last"), k.newLabel("done")
	advance := func(vectors int) {
		for _, p := range rows {
			k.op("ADDQ", imm(vectors*k.lanes()*p.element), p.register)
		}
	}
	n := k.lanes()
	if unroll > 1 {
		k.op("SUBQ", imm(unroll*n), count)
		k.op("JLT", few)
		k.place(again)
		for k.vectorIndex = range unroll {
			body()
		}
		k.vectorIndex = 0
		advance(unroll)
		k.op("SUBQ", imm(unroll*n), count)
		k.op("JGE", again)
		k.place(few)
		k.op("ADDQ", imm(unroll*n), count)
	}
	k.place(single)
	k.op("CMPQ", count, imm(n))
	k.op("JLT", last)
	body()
	advance(1)
	k.op("SUBQ", imm(n), count)
	k.op("JMP", single)
	k.place(last)
	k.op("TESTQ", count, count)
	k.op("JEQ", done)
	k.setMask(count, work)
	k.masked = true
	body()
	k.masked = false
	k.place(done)
}

// tail is the register that holds the mask of a short vector in AVX2; K1 has it in AVX-512.
func (k *rowKernel) tail() string { return k.reg(15) }

// setMask selects the first n lanes, n below the number of lanes; temp is overwritten.
func (k *rowKernel) setMask(n, temp string) {
	if k.wide() {
		k.op("MOVL", imm(-1), temp)
		k.op("BZHIL", n, temp, temp)
		k.op("KMOVW", temp, "K1")
		return
	}
	k.op("LEAQ", "tailMask<>+32(SB)", temp)
	k.op("NEGQ", n)
	k.op("VMOVDQU", indexed(0, temp, n, 4), k.tail())
	k.op("NEGQ", n)
}

// at is the operand of the vector at hand of a row of f32.
func (k *rowKernel) at(base string) string { return mem(k.vectorIndex*k.bytes, base) }

// load reads the vector at hand; lanes beyond the row are zero.
func (k *rowKernel) load(base, dst string) { k.loadAt(k.at(base), dst) }

func (k *rowKernel) loadAt(at, dst string) {
	switch {
	case !k.masked:
		k.op("VMOVUPS", at, dst)
	case k.wide():
		k.op("VMOVUPS.Z", at, "K1", dst)
	default:
		k.op("VMASKMOVPS", at, k.tail(), dst)
	}
}

// store writes the vector at hand.
func (k *rowKernel) store(src, base string) { k.storeAt(src, k.at(base)) }

func (k *rowKernel) storeAt(src, at string) {
	switch {
	case !k.masked:
		k.op("VMOVUPS", src, at)
	case k.wide():
		k.op("VMOVUPS", src, "K1", at)
	default:
		k.op("VMASKMOVPS", src, k.tail(), at)
	}
}

// broadcast fills all lanes with an f32 parameter.
func (k *rowKernel) broadcast(param, dst string) { k.op("VBROADCASTSS", k.param(param), dst) }

// lower names the lower half of a vector register.
func lower(register string) string {
	return map[byte]string{'Z': "Y", 'Y': "X"}[register[0]] + register[1:]
}

// fold leaves op over all lanes of v in lane 0, halving: lane i with i+n/2, and so on; temp is overwritten.
func (k *rowKernel) fold(op, v, temp string) {
	if k.wide() {
		k.op("VEXTRACTF64X4", imm(1), v, lower(temp))
		v, temp = lower(v), lower(temp)
		k.op(op, temp, v, v)
	}
	k.op("VEXTRACTF128", imm(1), v, lower(temp))
	v, temp = lower(v), lower(temp)
	k.op(op, temp, v, v)
	k.op("VPERMILPS", imm(0x0e), v, temp) // lanes 2 and 3
	k.op(op, temp, v, v)
	k.op("VPERMILPS", imm(0x01), v, temp) // lane 1
	k.op(op, temp, v, v)
}

// xmm names the 128 bits of a vector register.
func xmm(register string) string { return "X" + register[1:] }
