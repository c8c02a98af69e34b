package main

import (
	"fmt"
	"strings"
)

// Registers of kernels that move states on.
const (
	stateArgs  = "BX"
	stateOut   = "DI" // of the token at hand, as the next
	stateIn    = "SI"
	stateRow   = "R12" // of the state
	weightRow  = "R11"
	statesLeft = "DX"
	tokensLeft = "CX"
)

// blockBytes is a row of a block of channels.
const blockBytes = 64

// stateUnits writes one file per instruction set.
func stateUnits() []unit {
	var units []unit
	for _, t := range []isa{avx2, avx512} {
		u := unit{file: "zstate_" + strings.ToLower(t.name)}
		for _, f := range []struct {
			name, doc string
			write     func(k *stateKernel)
		}{
			{"convolve", "convolves a block of channels with their last inputs.", (*stateKernel).convolve},
			{"scan", "moves the states of a block of channels on.", (*stateKernel).scan},
		} {
			k := &stateKernel{rowKernel{function: newFunction(f.name+t.name, f.doc, "a *"+f.name+"Args", ""), isa: t}, f.name + "Args"}
			f.write(k)
			k.end()
			u.functions = append(u.functions, k.function)
		}
		u.table = fmt.Sprintf("var stateKernels%[1]s = stateKernels{convolve: convolve%[1]s, scan: scan%[1]s}\n", t.name)
		units = append(units, u)
	}
	return units
}

type stateKernel struct {
	rowKernel
	fields string // the struct of arguments
}

func (k *stateKernel) field(name string) string { return field(k.fields, name, stateArgs) }

// eachToken writes body for the vectors of a block of each token in turn; at is their place in a row.
func (k *stateKernel) eachToken(rows map[string]string, body func(at int)) {
	again := k.newLabel("token")
	k.place(again)
	for at := 0; at < blockBytes; at += k.bytes {
		body(at)
	}
	for _, row := range []string{stateOut, stateIn, "R8", "R9", "R10"} {
		if stride := rows[row]; stride != "" {
			k.op("ADDQ", k.field(stride), row)
		}
	}
	k.op("DECQ", tokensLeft)
	k.op("JNE", again)
}

// load64 loads fields into registers, in pairs: field, register.
func (k *stateKernel) load64(pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		k.op("MOVQ", k.field(pairs[i]), pairs[i+1])
	}
}

// convolve is y = silu(bias + w*inputs), and moves the inputs up by one for each token.
func (k *stateKernel) convolve() {
	sum, v := k.reg(0), k.reg(7)
	k.op("MOVQ", k.param("a"), stateArgs)
	k.load64("y", stateOut, "x", stateIn, "bias", "R8", "tokens", tokensLeft)
	k.eachToken(map[string]string{stateOut: "yStride", stateIn: "xStride"}, func(at int) {
		again, last := k.newLabel("input"), k.newLabel("last")
		k.load64("state", stateRow, "w", weightRow, "rows", statesLeft)
		k.op("VMOVUPS", mem(at, "R8"), sum)
		k.op("VMOVUPS", mem(at, stateRow), v)
		k.op("VFMADD231PS", mem(at, weightRow), v, sum)
		k.place(again)
		k.op("ADDQ", k.field("wStride"), weightRow)
		k.op("ADDQ", imm(blockBytes), stateRow)
		k.op("DECQ", statesLeft)
		k.op("JEQ", last)
		k.op("VMOVUPS", mem(at, stateRow), v)
		k.op("VFMADD231PS", mem(at, weightRow), v, sum)
		k.op("VMOVUPS", v, mem(at-blockBytes, stateRow))
		k.op("JMP", again)
		k.place(last)
		k.op("VMOVUPS", mem(at, stateIn), v)
		k.op("VFMADD231PS", mem(at, weightRow), v, sum)
		k.op("VMOVUPS", v, mem(at-blockBytes, stateRow))
		k.silu(sum, 1)
		k.op("VMOVUPS", sum, mem(at, stateOut))
	})
}

// Vector registers of scan; exp works behind vExp.
const (
	vStep = iota
	vTaken
	vTold
	vExp
	vOne  = 9
	vTwo  = 10
	vPoly = 11
)

// scan is state = exp(t*a)*state + t*x*b, y = skip*x + state*c.
func (k *stateKernel) scan() {
	k.op("MOVQ", k.param("a"), stateArgs)
	k.load64("y", stateOut, "x", stateIn, "dt", "R8", "b", "R9", "c", "R10", "rows", statesLeft, "aStride", "AX", "tokens", tokensLeft)
	step, taken, told, e, one, two := k.reg(vStep), k.reg(vTaken), k.reg(vTold), k.reg(vExp), k.reg(vOne), k.reg(vTwo)
	k.eachToken(map[string]string{stateOut: "yStride", stateIn: "xStride", "R8": "dtStride", "R9": "bStride", "R10": "cStride"}, func(at int) {
		again := k.newLabel("state")
		k.op("VMOVUPS", mem(at, "R8"), step)
		k.softplus()
		k.op("VMULPS", mem(at, stateIn), step, taken)
		k.op("VXORPS", told, told, told)
		k.load64("a", weightRow, "state", stateRow)
		k.op("XORQ", "R13", "R13")
		k.place(again)
		k.op("VMULPS", mem(at, weightRow), step, e)
		k.exp(e, vExp+1)
		k.op("VBROADCASTSS", indexed(0, "R9", "R13", 4), one)
		k.op("VMULPS", taken, one, one)
		k.op("VMOVUPS", mem(at, stateRow), two)
		k.op("VFMADD213PS", one, two, e)
		k.op("VMOVUPS", e, mem(at, stateRow))
		k.op("VBROADCASTSS", indexed(0, "R10", "R13", 4), one)
		k.op("VFMADD231PS", one, e, told)
		k.op("ADDQ", "AX", weightRow)
		k.op("ADDQ", imm(blockBytes), stateRow)
		k.op("INCQ", "R13")
		k.op("CMPQ", "R13", statesLeft)
		k.op("JLT", again)
		k.load64("skip", weightRow)
		k.op("VMOVUPS", mem(at, stateIn), one)
		k.op("VFMADD231PS", mem(at, weightRow), one, told)
		k.op("VMOVUPS", told, mem(at, stateOut))
	})
}

// softplus replaces vStep by log(1 + e^x), with the operations of softplus32.
func (k *stateKernel) softplus() {
	x, e, s, square, p := k.reg(vStep), k.reg(vExp), k.reg(vOne), k.reg(vTwo), k.reg(vPoly)
	k.op(k.bcst("VORPS"), constant("signBit"), x, e)
	k.exp(e, vExp+1)
	k.op(k.bcst("VADDPS"), constant("two"), e, s)
	k.op("VDIVPS", s, e, s)
	k.op("VMULPS", s, s, square)
	k.polynomial(square, p, "atanh6", "atanh5", "atanh4", "atanh3", "atanh2", "atanh1", "one")
	k.op("VMULPS", s, p, p)
	k.op("VADDPS", p, p, p)
	k.op("VXORPS", s, s, s)
	k.op("VMAXPS", s, x, x)
	k.op("VADDPS", p, x, x)
}
