package cuda

import (
	"fmt"

	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/internal/sym"
)

// down writes the entry that computes what adapters need to know of a product's input; launches with inputs of one kind share it.
func (c *Coder) down(e entry) engine.Code {
	d := newDown(&e)
	signature := fmt.Sprintf("down %s/%d,%d", d.x.TypeName(), d.x.Stride, d.w.K)
	if codes := c.entries[signature]; codes != nil {
		return codes[0]
	}
	c.names["adapter_down"]++
	name := fmt.Sprintf("adapter_down_%d", c.names["adapter_down"])
	write := func() engine.Code {
		d := newDown(&e)
		d.Builder = c.module.Kernel(name, ptx.Launch{Threads: linearThreads})
		early := c.target.PTX == ptx.SM90a
		if early {
			d.LaunchDependents()
			d.WaitForDependency()
		}
		d.write()
		return engine.Code{Entry: name, Threads: linearThreads, Early: early, Grid: grid(engine.Extent{Of: sym.Of(sym.T), Per: 1}, engine.Extent{Of: sym.Of(sym.R), Per: 1})}
	}
	c.again = append(c.again, func() { write() })
	c.entries[signature] = []engine.Code{write()}
	return c.entries[signature][0]
}

// adapterDown is ranks[m] = bf16(x[m] * a[p]^T) for the rows of an item, all of which have the adapter in place p.
//
//	CTA (i, j): up to 16 rows of item i, ranks 16*j..        warp v: chunks C*v/8 .. C*(v+1)/8 of the C chunks of 64 k
//
//	           n8    n8                 a is operand A: a lane loads 16 bytes of fragments as they lie. The rows are operand B: a lane loads
//	    m16 | D0  | D1 |                its two pairs of neighbouring k, and rounds them to bf16 where x is f32, f16 or codes.
//
// The eight partial sums of each result, in shared memory, are added in the order of k, by thread 16*m+r for row m and rank r. Rows behind the item's last
// are computed from that and dropped; CTAs behind the adapter's ranks do nothing.
type adapterDown struct {
	*product
	x      *engine.Buffer
	role   string
	stride ptx.Reg // bytes from a row of ranks to the next
}

func newDown(e *entry) *adapterDown {
	d := &adapterDown{product: newProduct(e), role: "x"}
	d.entry = &entry{Builder: nil, op: e.op, launch: e.launch, program: e.program, kernel: e.kernel, threads: linearThreads, cores: e.cores, sharedMemory: e.sharedMemory, convertsE4M3: e.convertsE4M3}
	if e.has("raw") {
		d.role = "raw"
	}
	d.x = e.buffer(d.role)
	return d
}

func (d *adapterDown) write() {
	d.Section("parameters")
	align := 16
	if !d.wholeVectors(d.role) {
		align = 4
	}
	x, items, records := d.Pointer("x", align), d.Pointer("items", engine.AdapterItemBytes), d.Pointer("records", engine.AdapterRecordBytes)
	ranks := d.Pointer("ranks", ranksAlign)
	d.stride = d.Uint("rank_bytes")
	d.Section("item")
	item := d.LdV(ptx.U32, 4, d.Index(items, d.CtaX(), engine.AdapterItemBytes))
	first, count := item[1], item[2]
	record := d.Index(records, item[0], engine.AdapterRecordBytes)
	part := d.CtaY()
	d.When(d.Ge(part, d.Ld(ptx.U32, record.At(recordOfParts)))).Return()
	a := d.ToGlobal(d.Ld(ptx.U64, record.At(recordOfA)))
	acc := d.zeroSums(ptx.F32, tokenBlocks)
	d.multiplyRows(acc, d.Index(a, part, d.w.KPad()/engine.AdapterPart*fragmentBytes), x, first, count)
	d.store(acc, ranks, first, count, part)
}

// multiplyRows adds the warp's part of K to acc. a is where the 16 ranks lie.
func (d *adapterDown) multiplyRows(acc [][]ptx.Reg, a, x, first, count ptx.Reg) {
	d.Section("main loop")
	lane, warp := d.Lane(), d.Warp()
	from, to := d.partStart(warp), d.partStart(d.Add(warp, 1))
	next := d.Index(d.Index(a, from, chunkSteps*fragmentBytes), lane, 16)
	read := downReaders[d.x.TypeName()](d)
	var rows []ptx.Reg
	for j := range tokenBlocks {
		row := d.Add(first, d.Min(d.Add(d.Shr(lane, 2), 8*j), d.Sub(count, 1)))
		rows = append(rows, d.Index(x, row, int(d.x.Stride)))
	}
	pair := d.Shl(d.And(lane, 3), 1) // the lane's first k of a step
	d.For(ptx.Range{Name: "chunks", From: from, To: to}, func(i ptx.Reg) {
		var b chunkB
		for _, row := range rows {
			b = append(b, read(row, d.Mad(i, chunk, pair)))
		}
		for s := range chunkSteps {
			words := as(ptx.BF16x2, d.LdV(ptx.B32, 4, next.At(s*fragmentBytes)))
			for j := range acc {
				d.Mma(ptx.MmaBF16, acc[j], words, b[j][s])
			}
		}
		d.Into(next).Add(next, chunkSteps*fragmentBytes)
	})
}

// store adds the parts of K in order and writes ranks.
func (d *adapterDown) store(acc [][]ptx.Reg, ranks, first, count, part ptx.Reg) {
	d.Section("partial sums")
	const width, partBytes = engine.AdapterPart, 4 * tokenTile * engine.AdapterPart
	partials, lane := d.Addr(d.Static("partials", linearWarps*partBytes, 16)), d.Lane()
	at := d.Add(partials, d.Mad(d.Warp(), partBytes, d.Add(d.Mul(d.And(lane, 3), 2*4*width), d.Shl(d.Shr(lane, 2), 2))))
	for j, sums := range acc {
		for i, v := range sums {
			d.St(at.At(4*((8*j+i%2)*width+i/2*8)), v)
		}
	}
	d.Sync()
	d.Section("results")
	row, rank := d.Shr(d.TidX(), log2(width)), d.And(d.TidX(), width-1)
	from := d.Index(partials, d.TidX(), 4)
	sum := d.Ld(ptx.F32, from)
	for v := 1; v < linearWarps; v++ {
		sum = d.Add(sum, d.Ld(ptx.F32, from.At(v*partBytes)))
	}
	to := d.Index(d.Index(ranks, d.Mul(d.Add(first, row), d.stride), 1), d.Mad(part, width, rank), 2)
	d.When(d.Lt(row, count)).St(to, d.Cvt(ptx.BF16, sum))
}

// downReaders give a lane's registers of operand B for the steps of a chunk of a row, from its first k on: of each step neighbouring k 2t and 2t+1, then
// 2t+8 and 2t+9. They are indexed by the type of x.
var downReaders = map[string]func(d *adapterDown) func(row, k ptx.Reg) [][]ptx.Reg{
	"bf16": func(d *adapterDown) func(row, k ptx.Reg) [][]ptx.Reg {
		return func(row, k ptx.Reg) [][]ptx.Reg {
			at := d.Index(row, k, 2)
			return d.eachPair(func(k int) ptx.Reg { return d.Ld(ptx.BF16x2, at.At(2*k)) })
		}
	},
	"f16": func(d *adapterDown) func(row, k ptx.Reg) [][]ptx.Reg {
		return func(row, k ptx.Reg) [][]ptx.Reg {
			at := d.Index(row, k, 2)
			return d.eachPair(func(k int) ptx.Reg { return d.rounded(d.widen(d.Ld(ptx.F16x2, at.At(2*k)))) })
		}
	},
	"f32m": func(d *adapterDown) func(row, k ptx.Reg) [][]ptx.Reg {
		return func(row, k ptx.Reg) [][]ptx.Reg {
			at := d.Index(row, k, 4)
			return d.eachPair(func(k int) ptx.Reg { return d.rounded([2]ptx.Reg(d.LdV(ptx.F32, 2, at.At(4*k)))) })
		}
	},
	"s8t":   readCodes((*adapterDown).s8),
	"e4m3t": readCodes((*adapterDown).e4m3),
	"e4m3g": readCodes((*adapterDown).e4m3),
}

// eachPair calls load with the k of each pair of a chunk, counted from the lane's first.
func (d *adapterDown) eachPair(load func(k int) ptx.Reg) (steps [][]ptx.Reg) {
	for s := range chunkSteps {
		steps = append(steps, []ptx.Reg{load(16 * s), load(16*s + 8)})
	}
	return steps
}

func (d *adapterDown) rounded(v [2]ptx.Reg) ptx.Reg { return d.Cvt2(ptx.BF16x2, v[0], v[1]) }

// readCodes reads codes, times the scale of their row or of their group.
func readCodes(number func(d *adapterDown, code ptx.Reg) ptx.Reg) func(d *adapterDown) func(row, k ptx.Reg) [][]ptx.Reg {
	return func(d *adapterDown) func(row, k ptx.Reg) [][]ptx.Reg {
		codes := d.codes()
		return func(row, k ptx.Reg) [][]ptx.Reg {
			group := d.Const(ptx.U32, 0)
			if codes.GroupScales {
				group = d.Div(k, codes.Group)
			}
			scale, at := d.Ld(ptx.F32, d.Index(row, group, 4).At(codes.ScaleOffset())), d.Index(row, k, 1)
			return d.eachPair(func(k int) ptx.Reg {
				var v [2]ptx.Reg
				for i := range v {
					v[i] = d.Mul(number(d, d.Ld(ptx.U8, at.At(k+i))), scale)
				}
				return d.rounded(v)
			})
		}
	}
}

func (d *adapterDown) s8(code ptx.Reg) ptx.Reg { return d.Cvt(ptx.F32, d.ExtendS8(code)) }

// e4m3 puts exponent and mantissa at the lower end of those of an f32.
func (d *adapterDown) e4m3(code ptx.Reg) ptx.Reg {
	bits := d.Or(d.Shl(d.And(code.As(ptx.B32), 0x80), 24), d.Shl(d.And(code.As(ptx.B32), 0x7f), 20))
	return d.Mul(bits.As(ptx.F32), float64(float8Scale))
}
