package cuda

import (
	"llmc/codegen/ptx"
)

// finder looks for places in sequences of samplePart numbers, of which a thread has four neighbours.
type finder struct {
	e        *entry
	partials ptx.Reg // of each warp and sequence
	place    ptx.Reg // where one thread leaves what it found: the index, then the sums before it
}

// four are a thread's numbers of a sequence.
type four [4]ptx.Reg

// sequences is how many can be summed up side by side.
const sequences = 3

func newFinder(e *entry) finder {
	return finder{e, e.Addr(e.Static("partials", 8*sequences*e.threads/32, 8)), e.Addr(e.Static("place", 8*(1+sequences), 8))}
}

// quad is what of gives for the thread's four indices.
func (f *finder) quad(of func(i ptx.Reg) ptx.Reg) (v four) {
	first := f.e.Shl(f.e.TidX(), 2)
	for j := range v {
		v[j] = of(f.e.Add(first, j))
	}
	return v
}

// prefix gives the sum of each sequence before the thread's numbers, and that of all of them.
func (f *finder) prefix(lists ...four) (before, total []ptx.Reg) {
	warps := f.e.threads / 32
	lane, warp := f.e.Lane(), f.e.Warp()
	for n, v := range lists {
		own := f.e.Add(f.e.Add(v[0], v[1]), f.e.Add(v[2], v[3]))
		through := f.e.Mov(own)
		for step := 1; step < 32; step *= 2 {
			lo, hi := f.e.Unpack(ptx.U32, through)
			below := f.e.Pack(ptx.U64, f.e.ShflUp(lo, step), f.e.ShflUp(hi, step))
			f.e.Into(through).Add(through, f.e.Select(f.e.Ge(lane, step), below, 0))
		}
		f.e.When(f.e.Eq(lane, 31)).St(f.e.Index(f.partials, f.e.Add(warp, n*warps), 8), through)
		before = append(before, f.e.Sub(through, own))
	}
	f.e.Sync()
	for n := range lists {
		sum, all := before[n], f.e.Const(ptx.U64, 0)
		for w := range warps {
			p := f.e.Ld(ptx.U64, f.partials.At(8*(n*warps+w)))
			f.e.Into(all).Add(all, p)
			f.e.Into(sum).Add(sum, f.e.Select(f.e.Gt(warp, w), p, 0))
		}
		total = append(total, f.e.Assume(ptx.CTAUniform, all))
	}
	f.e.When(f.e.Eq(f.e.TidX(), 0)).St(f.place, f.e.Const(ptx.U64, samplePart))
	f.e.Sync()
	return before, total
}

// cross gives the index at which the running sum of the first sequence exceeds target, samplePart if it does nowhere, and the sums of all
// sequences before it. before is what prefix gave.
func (f *finder) cross(target ptx.Reg, before []ptx.Reg, lists ...four) (index ptx.Reg, sums []ptx.Reg) {
	first := f.e.Shl(f.e.TidX(), 2)
	running := make([]ptx.Reg, len(lists))
	for n := range lists {
		running[n] = f.e.Mov(before[n])
	}
	for j := range 4 {
		next := f.e.Add(running[0], lists[0][j])
		hit := f.e.And(f.e.Le(running[0], target), f.e.Gt(next, target))
		f.e.If(hit, func() {
			f.e.St(f.place, f.e.Cvt(ptx.U64, f.e.Add(first, j)))
			for n := range lists {
				f.e.St(f.place.At(8*(1+n)), running[n])
			}
		})
		for n := range lists {
			f.e.Into(running[n]).Add(running[n], lists[n][j])
		}
	}
	f.e.Sync()
	index = f.e.Assume(ptx.CTAUniform, f.e.Cvt(ptx.U32, f.e.Ld(ptx.U64, f.place)))
	for n := range lists {
		sums = append(sums, f.e.Assume(ptx.CTAUniform, f.e.Ld(ptx.U64, f.place.At(8*(1+n)))))
	}
	f.e.Sync()
	return index, sums
}

// sort brings the first n of a list in shared memory into ascending order; n is a power of two and the same in all threads. It is Batcher's
// bitonic sort ("Sorting networks and their applications", 1968).
func (e *entry) sort(list, n ptx.Reg) {
	k := e.Assume(ptx.CTAUniform, e.Const(ptx.U32, 2))
	e.While("runs", func() ptx.Reg { return e.Le(k, n) }, func() {
		j := e.Assume(ptx.CTAUniform, e.Shr(k, 1))
		e.While("halves", func() ptx.Reg { return e.Ne(j, 0) }, func() {
			below := e.Sub(j, 1)
			e.For(ptx.Range{Name: "pairs", From: e.TidX(), To: e.Shr(n, 1), Step: e.threads}, func(pair ptx.Reg) {
				i := e.Or(e.Shl(e.And(pair, e.Invert(below)), 1), e.And(pair, below))
				at, with := e.Index(list, i, 8), e.Index(list, e.Or(i, j), 8)
				x, y := e.Ld(ptx.U64, at), e.Ld(ptx.U64, with)
				up := e.Eq(e.And(i, k), 0)
				e.If(e.CmpXor(ptx.LE, x, y, up), func() {
					e.St(at, y)
					e.St(with, x)
				})
			})
			e.Sync()
			e.Into(j).Shr(j, 1)
		})
		e.Into(k).Shl(k, 1)
	})
}
