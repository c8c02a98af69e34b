package ptx

// FullWarp is the mask of all lanes.
const FullWarp = 0xffffffff

// shuffle moves 32-bit values among the lanes of a warp; all 32 take part.
func (b *Builder) shuffle(kind string, x Reg, lane Operand, clamp int) Reg {
	d := b.result(x.typ)
	b.emit("shfl.sync."+kind+".b32", d, x, lane, clamp, FullWarp)
	return d
}

// ShflXor is the value of the lane whose number differs in the bits of mask.
func (b *Builder) ShflXor(x Reg, mask Operand) Reg { return b.shuffle("bfly", x, mask, 31) }

// ShflIdx is the value of that lane.
func (b *Builder) ShflIdx(x Reg, lane Operand) Reg { return b.shuffle("idx", x, lane, 31) }

// ShflUp is the value of the lane n below; the lowest n lanes keep their own.
func (b *Builder) ShflUp(x Reg, n Operand) Reg { return b.shuffle("up", x, n, 0) }

// ShflDown is the value of the lane n above; the highest n lanes keep their own.
func (b *Builder) ShflDown(x Reg, n Operand) Reg { return b.shuffle("down", x, n, 31) }

// Shuffle is the general form: kind is up, down, bfly or idx; clamp holds segment mask and bound as "shfl.sync" in the ISA says.
// The predicate tells whether the source lane was in range.
func (b *Builder) Shuffle(kind string, x Reg, lane, clamp, members Operand) (Reg, Reg) {
	d := b.result(x.typ)
	p := b.plainView().Reg(Pred)
	b.emit("shfl.sync."+kind+".b32/valid", pair{d, p}, x, lane, clamp, members)
	return d, p
}

// WarpReduce combines a value of every lane by op in five butterfly steps; every lane gets the same result.
func (b *Builder) WarpReduce(x Reg, op func(x, y Operand) Reg) Reg {
	for mask := 16; mask >= 1; mask /= 2 {
		x = op(x, b.plainView().ShflXor(x, mask))
	}
	return b.Assume(WarpUniform, x)
}

// VoteAll tells whether p holds in all lanes.
func (b *Builder) VoteAll(p Reg) Reg { return b.vote("all", p) }

// VoteAny tells whether p holds in some lane.
func (b *Builder) VoteAny(p Reg) Reg { return b.vote("any", p) }

// VoteUni tells whether p is the same in all lanes.
func (b *Builder) VoteUni(p Reg) Reg { return b.vote("uni", p) }

func (b *Builder) vote(kind string, p Reg) Reg {
	d := b.result(Pred)
	b.emit("vote.sync."+kind+".pred", d, p, FullWarp)
	return d
}

// Ballot has a bit for every lane in which p holds.
func (b *Builder) Ballot(p Reg) Reg {
	d := b.result(B32)
	b.emit("vote.sync.ballot.b32", d, p, FullWarp)
	return d
}

// MatchAny has a bit for every lane that has the same value.
func (b *Builder) MatchAny(x Reg) Reg {
	d := b.result(B32)
	b.emit("match.any.sync."+x.typ.inBits(), d, x, FullWarp)
	return d
}

// MatchAll tells whether all lanes have the same value; the mask is then full, else zero.
func (b *Builder) MatchAll(x Reg) (mask, same Reg) {
	mask, same = b.result(B32), b.plainView().Reg(Pred)
	b.emit("match.all.sync."+x.typ.inBits(), pair{mask, same}, x, FullWarp)
	return mask, same
}

// ActiveMask has a bit for every lane that happens to run together with this one.
func (b *Builder) ActiveMask() Reg {
	d := b.result(B32)
	b.emit("activemask.b32", d)
	return d
}

// Redux combines an integer of every lane in one instruction: op is add, min, max, and, or, xor.
func (b *Builder) Redux(op string, x Reg) Reg {
	d := b.result(x.typ)
	suffix := x.typ.arith()
	switch op {
	case "and", "or", "xor":
		suffix = "b32"
	}
	b.emit("redux.sync."+op+"."+suffix, d, x, FullWarp)
	return d
}

// Elect gives a predicate that holds in exactly one lane of the warp.
func (b *Builder) Elect() Reg {
	p := b.result(Pred)
	b.emit("elect.sync", pair{b.plainView().Reg(B32), p}, FullWarp)
	return p
}
