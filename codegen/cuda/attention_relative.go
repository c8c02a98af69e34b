package cuda

import (
	"math"

	"llmc/codegen/ptx"
	"llmc/internal/relative"
	"llmc/ir"
)

// Learned numbers by the distance of a position are added to scores. A CTA spreads those of its heads over the distances once, so that a score costs one read
// of shared memory:
//
//	scores[row, p] += relative[bucket(p - position of row), head of row]
//
//	               distance  -reach .. 0 .. reach (0 where positions ahead have no buckets)
//	table   head h of the CTA | f32, times log2(e)                                           |
//	        head h+1          | ..                                                           |
//
// Threads of the CTA have every 128th entry of the table when it is made. A lane reads at the distances of the scores it has, bounded by the table's ends:
// lanes of neighbouring rows and positions read neighbouring entries, in different banks.

// Shapes that have such scores. Wider heads leave no shared memory for tables, and code that finds a bucket grows with them.
const (
	mostRelativeDim    = 128
	mostRelativeBytes  = 16 << 10
	mostRelativeBucket = 128
)

// relativeHeads tells that tables of the op's distances fit beside the tiles of its heads.
func relativeHeads(op *ir.Op) bool {
	if op.Arg("alibi") != nil || op.Arg("sinks") != nil || op.Arg("inv_freq") != nil {
		return false
	}
	buckets := ir.RelativeBuckets(op)
	if buckets.Check() != nil || buckets.Count > mostRelativeBucket || op.Int("dim") > mostRelativeDim {
		return false
	}
	group := min(op.Int("heads")/op.Int("kv_heads"), 16*attentionWarps)
	return 4*int(group)*distances(buckets) <= mostRelativeBytes
}

// distances is how many entries a head's table has.
func distances(b relative.Buckets) int {
	if b.Both {
		return 2*b.Reach + 1
	}
	return b.Reach + 1
}

// buckets are those of the launch's distances.
func (a *attend) buckets() relative.Buckets {
	dims := a.e.weight("relative").Type.Dims
	return relative.Buckets{Count: int(dims[0].K), Reach: int(a.e.launch.Int("reach", 0)), Both: a.e.launch.Int("both", 0) != 0}
}

func (a *attend) relative() bool { return a.e.has("relative") }

// relativeBytes is what the tables take of shared memory.
func (a *attend) relativeBytes() int {
	if !a.relative() {
		return 0
	}
	return (4*a.group*distances(a.buckets()) + 15) / 16 * 16
}

// spreadRelative makes the tables. Who reads them waits for all threads first, as the first tile does.
func (a *attend) spreadRelative() {
	if !a.relative() {
		return
	}
	a.e.Section("relative scores")
	b, all := a.buckets(), a.heads/a.kvHeads
	entries := distances(b)
	a.table = a.e.Addr(a.e.Dynamic("relative", a.relativeBytes(), 16))
	first := a.e.Mul(a.e.CtaZ(), a.group) // of the CTA's heads among those of a KV head
	a.e.For(ptx.Range{Name: "distances", From: a.e.TidX(), To: a.group * entries, Step: attentionThreads, NoUnroll: true}, func(i ptx.Reg) {
		number := a.e.Div(i, entries)
		distance := a.e.Sub(a.e.Sub(i, a.e.Mul(number, entries)).As(ptx.S32), b.Reach)
		head := a.e.Min(a.e.Add(first, number), all-1) // the last CTA of a KV head may have fewer
		head = a.e.Mad(a.e.CtaY(), all, head)
		at := a.e.Mad(a.bucket(b, distance).As(ptx.U32), a.heads, head)
		v := a.e.Ld(ptx.F32, a.e.Index(a.e.pointers["relative"], at, 4))
		a.e.St(a.e.Index(a.table, i, 4), a.e.Mul(v, math.Log2E))
	})
}

// bucket is the bucket of a distance: that of the nearest ones by themselves, plus one for each distance at which a wider one begins.
func (a *attend) bucket(b relative.Buckets, distance ptx.Reg) ptx.Reg {
	side := b.Count
	if b.Both {
		side /= 2
	}
	away := a.e.Max(a.e.Sub(0, distance), 0)
	if b.Both {
		away = a.e.Max(away, distance)
	}
	bucket := a.e.Min(away, side/2)
	for from, last := side/2, side/2; from <= b.Reach; from++ {
		for ; last < b.Of(-from); last++ {
			bucket = a.e.Add(bucket, a.e.Select(a.e.Ge(away, from), a.e.Const(ptx.S32, 1), 0))
		}
	}
	if b.Both {
		bucket = a.e.Add(bucket, a.e.Select(a.e.Gt(distance, 0), a.e.Const(ptx.S32, side), 0))
	}
	return bucket
}

// startRelative finds the place of distance 0 in the tables of the row's head.
func (s *rowState) startRelative(i int, column ptx.Reg) {
	if !s.relative() {
		return
	}
	b := s.buckets()
	at := s.e.Add(s.table, 4*b.Reach)
	if s.group > 1 {
		local := s.e.Sub(s.e.Div(column, s.values), s.e.Mad(s.e.CtaY(), s.heads/s.kvHeads, s.e.Mul(s.e.CtaZ(), s.group)))
		local = s.e.Min(local, s.group-1) // of rows that are not there
		at = s.e.Mad(local, 4*distances(b), at)
	}
	s.learned[i] = at
}

// addRelative adds the numbers of the distances to exponents. Column c of block n is position 8n + c behind first.
func (s *rowState) addRelative(acc [][]ptx.Reg, first ptx.Reg) {
	b := s.buckets()
	column := s.e.Add(first, s.e.Shl(s.e.And(s.lane, 3), 1).As(ptx.S32))
	most := 0
	if b.Both {
		most = b.Reach
	}
	for i := range 2 {
		distance := s.e.Sub(column, s.own[i])
		for n, block := range acc {
			for j, v := range block[2*i : 2*i+2] {
				at := s.e.Max(s.e.Min(s.e.Add(distance, 8*n+j), most), -b.Reach)
				s.e.Into(v).Add(v, s.e.Ld(ptx.F32, s.e.Add(s.learned[i], s.e.Shl(at, 2).As(ptx.U32))))
			}
		}
	}
}
