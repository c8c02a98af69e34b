package main

// storeKey rounds a key to bf16 and stores it as column of a panel: pairs of channels lie 64 bytes apart.
func storeKey(t isa) *function {
	k := &rowKernel{function: newFunction("storeKeyBF16"+t.name, "stores a key as bf16; an odd last channel is paired with zero.",
		"dst unsafe.Pointer, x *float32, n int", ""), isa: t}
	stored := k.newLabel("stored")
	k.arguments("dst", out, "x", in, "n", count)
	k.walk([]pointer{{in, 4}}, 1, func() {
		k.load(in, k.reg(0))
		k.roundWords(0, 1)
		words := xmm(k.reg(0))
		if !k.bf16 {
			k.narrow(k.reg(0), k.reg(1))
		}
		if k.masked {
			k.op("MOVQ", count, work)
		}
		for pair := range k.lanes() / 2 {
			if pair == 4 {
				k.op("VEXTRACTI128", imm(1), lower(k.reg(0)), words)
			}
			k.op("VPEXTRD", imm(pair%4), words, mem(0, out))
			k.op("ADDQ", imm(4*positions), out)
			if k.masked {
				k.op("SUBQ", imm(2), work)
				k.op("JLE", stored)
			}
		}
	})
	k.place(stored)
	k.end()
	return k.function
}

// narrow packs the int32 lanes of v, in the range of uint16, into words at its lower end.
func (k *rowKernel) narrow(v, temp string) {
	if k.wide() {
		k.op("VPMOVDW", v, lower(v))
		return
	}
	k.op("VEXTRACTI128", imm(1), v, lower(temp))
	k.op("VPACKUSDW", lower(temp), lower(v), lower(v))
}

// storeValue rounds a value to bf16 and stores it beside that of the other position of its pair: in the lower halves of the lanes, the
// upper ones becoming zero, or in the upper halves.
func storeValue(t isa, odd bool) *function {
	name, doc := "storeEvenBF16", "stores a value as bf16 in the lower halves of lanes and zeroes the upper ones."
	if odd {
		name, doc = "storeOddBF16", "stores a value as bf16 in the upper halves of lanes."
	}
	k := &rowKernel{function: newFunction(name+t.name, doc, "dst unsafe.Pointer, x *float32, n int", ""), isa: t}
	v, old := k.reg(0), k.reg(1)
	k.arguments("dst", out, "x", in, "n", count)
	k.walk(f32s(in, out), 1, func() {
		k.load(in, v)
		k.roundWords(0, 1)
		if k.bf16 {
			k.op("VPMOVZXWD", lower(v), v)
		}
		if odd {
			k.load(out, old)
			k.op("VPSLLD", imm(16), v, v)
			k.op("VPSLLD", imm(16), old, old)
			k.op("VPSRLD", imm(16), old, old)
			k.op("VORPS", old, v, v)
		}
		k.store(v, out)
	})
	k.end()
	return k.function
}
