package main

import "fmt"

// pairsAtOnce is how many pairs of positions a round of a loop takes.
const pairsAtOnce = 4

// valueWords sums values of 16 bits weighted by rows of words, for all channels. Sums are int32, and exact.
func valueWords(kind dotKind, t isa, rows int) *function {
	k := newAttend("value", fmt.Sprintf("sums values weighted by %d rows of words.", rows), "integerValueArgs", kind, t, rows)
	k.loadStrides(k.arg("pStride"), rows)
	k.op("MOVQ", k.arg("vStride"), valueRow)
	k.op("MOVQ", k.arg("column"), column)
	most := 4
	for rows*most+most+2 > t.registers {
		most /= 2
	}
	for k.nv = most; k.nv > 0; k.nv /= 2 {
		k.wordChannels()
	}
	k.end()
	return k.function
}

func (k *attendKernel) arg(name string) string { return field("integerValueArgs", name, args) }

// wordChannels goes on while there are as many channels as nv vectors have.
func (k *attendKernel) wordChannels() {
	again, next, inner, done := k.newLabel("channels"), k.newLabel("panel"), k.newLabel("pairs"), k.newLabel("few")
	k.place(again)
	k.op("LEAQ", mem(k.nv*k.bytes, column), "AX")
	k.op("CMPQ", "AX", k.arg("width"))
	k.op("JGT", done)
	for i := range k.rows * k.nv {
		k.op("VXORPS", k.reg(i), k.reg(i), k.reg(i))
	}
	k.op("MOVQ", k.arg("panels"), entryAt)
	k.op("MOVQ", k.arg("count"), panels)
	k.op("MOVQ", k.arg("p"), x)
	var vectors []string
	for c := range k.nv {
		vectors = append(vectors, mem(c*k.bytes, panel))
	}
	k.place(next)
	k.op("MOVQ", field("scorePanel", "v", entryAt), panel)
	k.op("ADDQ", column, panel)
	k.askAhead()
	k.op("MOVQ", imm(positions/2/pairsAtOnce), steps)
	k.place(inner)
	for i := range pairsAtOnce {
		for line := 0; line < k.nv*k.bytes; line += 64 {
			k.op("PREFETCHT1", mem(line, ahead))
		}
		k.step(vectors, 4*i)
		if k.wide() {
			k.op("ADDQ", valueRow, ahead)
		} else {
			k.op("ADDQ", imm(k.nv*k.bytes), ahead)
		}
		k.op("ADDQ", valueRow, panel)
	}
	k.op("ADDQ", imm(4*pairsAtOnce), x)
	k.op("DECQ", steps)
	k.op("JNE", inner)
	k.op("ADDQ", "$scorePanel__size", entryAt)
	k.op("DECQ", panels)
	k.op("JNE", next)
	k.storeWordSums()
	k.op("ADDQ", imm(k.nv*k.bytes), column)
	k.op("JMP", again)
	k.place(done)
}

// askAhead points at what the panel at hand prefetches. AVX2 goes through the values several times, for some channels each: it asks for whole pages one
// after the other, since memory answers faster than for some lines of each of many pages.
func (k *attendKernel) askAhead() {
	if k.wide() {
		k.op("MOVQ", field("scorePanel", "ahead", entryAt), ahead)
		k.op("ADDQ", column, ahead)
		return
	}
	inside := k.newLabel("inside")
	k.op("MOVQ", k.arg("ahead"), steps)
	k.op("MOVQ", field("scorePanel", "ahead", steps), ahead)
	k.op("MOVQ", k.arg("aheadSkip"), steps)
	k.op("ADDQ", steps, ahead)
	k.op("ADDQ", imm(positions/2*k.nv*k.bytes), steps)
	k.op("CMPQ", steps, k.arg("aheadBytes"))
	k.op("JLT", inside)
	k.op("XORL", steps, steps)
	k.op("ADDQ", "$scorePanel__size", k.arg("ahead"))
	k.place(inside)
	k.op("MOVQ", steps, k.arg("aheadSkip"))
}

// storeWordSums turns sums into values.
func (k *attendKernel) storeWordSums() {
	scale := k.reg(k.rows * k.nv)
	k.op("MOVQ", k.arg("entry"), entryAt)
	k.op("MOVQ", k.arg("out"), output)
	k.op("ADDQ", column, output)
	for r := range k.rows {
		k.op("VBROADCASTSS", rowAt(entryScale, entryAt, r), scale)
		for c := range k.nv {
			sum := k.reg(r*k.nv + c)
			k.op("VCVTDQ2PS", sum, sum)
			k.op("VMULPS", scale, sum, sum)
			k.op("VMOVUPS", sum, mem(c*k.bytes, output))
		}
		if r < k.rows-1 {
			k.op("ADDQ", k.arg("outStride"), output)
		}
	}
}
