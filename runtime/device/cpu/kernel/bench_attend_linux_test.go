package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/runtime/device/cpu/kernel/roofline"
	"llmc/runtime/device/cpu/team"
)

// benchSequence is a sequence of positions in a cache of many layers, so that it does not fit the caches, in pages of 16 and in spans as devices have them.
func benchSequence(kind dtype.Type, positions, layers, kvHeads, group, dim int) (seqs []*sequence) {
	const page = 16
	kv, err := layout.NewKV(kind, SplitLength, kvHeads, dim)
	if err != nil {
		panic(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	set, sc := Detect()[len(Detect())-1], NewScratch(dim)
	q, row := randomRow(r, positions*kvHeads*group*dim), randomRow(r, kvHeads*dim)
	n := (positions + kv.PageSize - 1) / kv.PageSize
	pool := make([]byte, n*layers*kv.Bytes())
	for layer := range layers {
		s := &sequence{Attention: Attention{KV: kv, QueryHeads: kvHeads * group, Scale: float32(1 / math.Sqrt(float64(dim)))}}
		s.Pool, s.Stride, s.Offset, s.Page, s.q = pool, layers*kv.Bytes(), layer*kv.Bytes(), page, q
		for i := range n * SplitLength / page {
			s.pages = append(s.pages, int32(i))
		}
		for p := range positions {
			span, at := s.Span(p)
			set.StoreKV(sc, kv, span, at, row, row)
		}
		seqs = append(seqs, s)
	}
	return seqs
}

// BenchmarkAttendDecode attends from one token to a long context: bound by reading it.
func BenchmarkAttendDecode(b *testing.B) {
	t := team.New(2, nil)
	defer t.Close()
	for _, kind := range []dtype.Type{dtype.F32, dtype.BF16, dtype.I16, dtype.I8, dtype.U4} {
		for _, shape := range []struct{ kvHeads, group, dim int }{{3, 3, 64}, {8, 4, 64}, {8, 4, 128}} {
			seqs := benchSequence(kind, 7500, 16, shape.kvHeads, shape.group, shape.dim)
			for _, set := range Detect()[1:] {
				b.Run(fmt.Sprintf("%v/%dx%dx%d/%s", kind, shape.kvHeads, shape.group, shape.dim, set.Name), func(b *testing.B) {
					benchAttendDecode(b, t, set, seqs)
				})
			}
		}
	}
}

func benchAttendDecode(b *testing.B, t *team.Team, set *Set, seqs []*sequence) {
	scratch := []*Scratch{NewScratch(128), NewScratch(128)}
	pool := seqs[0].Pool
	total := len(pool)
	q := seqs[0].queries(7499, 7500)
	parts := [2][]float32{}
	for i := range parts {
		parts[i] = make([]float32, seqs[0].Rows(q)*seqs[0].PartFloats())
	}
	took := race(b, t, func(worker int) {
		lo, hi := share(total, worker, t.Workers())
		roofline.Read(pool[lo:hi])
	}, func(worker int) {
		for _, s := range seqs { // splits are shared among workers, as heads may be few
			_, n := s.Splits(q, 0, 0)
			lo, hi := share(n*s.Heads, worker, t.Workers())
			for next := 0; lo < hi; lo = next {
				head, split := lo/n, lo%n
				next = min(hi, (head+1)*n)
				set.AttendSplits(scratch[worker], &s.Attention, q, head, split, split+next-lo, 0, s.Rows(q), parts[worker], 0)
			}
		}
	})
	b.ReportMetric(float64(total)/took[1]/1e9, "GB/s")
	b.ReportMetric(100*took[0]/took[1], "%read")
}

// BenchmarkAttendPrefill attends from the last 256 of many tokens to all before them: bound by arithmetic.
func BenchmarkAttendPrefill(b *testing.B) {
	t := team.New(2, nil)
	defer t.Close()
	for _, kind := range []dtype.Type{dtype.F32, dtype.BF16, dtype.I16, dtype.I8, dtype.U4} {
		for _, shape := range []struct{ positions, kvHeads, group, dim int }{{512, 2, 3, 64}, {4096, 2, 3, 64}, {4096, 2, 4, 128}} {
			s := benchSequence(kind, shape.positions, 1, shape.kvHeads, shape.group, shape.dim)[0]
			for _, set := range Detect()[1:] {
				b.Run(fmt.Sprintf("%v/%dx%dx%dx%d/%s", kind, shape.positions, shape.kvHeads, shape.group, shape.dim, set.Name), func(b *testing.B) {
					benchAttendPrefill(b, t, set, s, shape.positions)
				})
			}
		}
	}
}

func benchAttendPrefill(b *testing.B, t *team.Team, set *Set, s *sequence, positions int) {
	const tokens = 256
	scratch := []*Scratch{NewScratch(128), NewScratch(128)}
	peak := peakFor(set, map[dtype.Type]string{dtype.F32: "f32", dtype.BF16: "bf16", dtype.I16: "f32", dtype.I8: "f32", dtype.U4: "f32"}[s.DType])
	q := s.queries(positions-tokens, positions)
	ops := 4 * float64(s.QueryHeads) * tokens * (float64(positions) - tokens/2) * float64(s.Dim)
	took := race(b, t, func(int) { peak.Run(int(ops) / t.Workers() / peak.OpsInRound) }, func(worker int) {
		lo, hi := share(s.Heads, worker, t.Workers())
		for h := lo; h < hi; h++ {
			set.Attend(scratch[worker], &s.Attention, q, h, 0, s.Rows(q))
		}
	})
	b.ReportMetric(ops/took[1]/1e9, "GOP/s")
	b.ReportMetric(100*took[0]/took[1], "%peak")
}
