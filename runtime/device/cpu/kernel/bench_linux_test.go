package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"llmc/engine/layout"
	"llmc/runtime/device/cpu/kernel/roofline"
	"llmc/runtime/device/cpu/team"

	"golang.org/x/sys/unix"
)

// Benchmarks run a kernel and what bounds it in turns on all processors, and report the kernel's speed and its fraction of the bound, medians
// of all turns. Use a fixed number of turns: go test -run xxx -bench . -benchtime 15x

// race times functions in turns and returns their median seconds.
func race(b *testing.B, t *team.Team, functions ...func(worker int)) (medians []float64) {
	times := make([][]float64, len(functions))
	for b.Loop() {
		for i, f := range functions {
			start := clock(t)
			t.Run(f)
			times[i] = append(times[i], clock(t)-start)
		}
	}
	for _, t := range times {
		slices.Sort(t)
		medians = append(medians, t[len(t)/2])
	}
	return medians
}

// clock is in seconds: wall time; for a single worker (-cpu 1) processor time, which leaves out what others of a shared machine take.
func clock(t *team.Team) float64 {
	if t.Workers() > 1 {
		return time.Since(benchStart).Seconds()
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now); err != nil {
		panic(err)
	}
	return float64(now.Nano()) * 1e-9
}

var benchStart = time.Now()

// share cuts n into equal parts.
func share(n, worker, workers int) (lo, hi int) {
	return n * worker / workers, n * (worker + 1) / workers
}

// benchMatrix makes a weight of codes that are cheap to draw.
func benchMatrix(b *testing.B, format string, n, k int) Matrix {
	b.Helper()
	l, err := layout.New(format, n, k, 0)
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	data := make([]byte, l.Bytes()+layout.Align)
	if err := packRandom(r, l, data, layout.Lanes); err != nil {
		b.Fatal(err)
	}
	for p := 1; p < l.Panels(); p++ {
		copy(l.Panel(data, p), data[:l.PanelBytes()])
	}
	w, err := NewMatrix(l, data)
	if err != nil {
		b.Fatal(err)
	}
	return w
}

// benchForms are the formats of weights, and digits of inputs, that speed is measured for.
var benchForms = []struct {
	format string
	digits int
}{{"f32", 1}, {"bf16", 1}, {"u8", 1}, {"u8", 2}, {"u4n.g32", 1}, {"u4n.g32", 2}, {"u4.g32", 1}, {"u4.g32", 2}, {"u4.g128", 2}, {"u4z.g64", 2}, {"u4e.g32", 2}, {"u4f.g16", 1}, {"u4f.g16", 2}, {"nf4.g64", 1}, {"nf4s.g32", 1}, {"q5m.g32", 1}, {"u8o.g64", 1}, {"e4m3s", 1}, {"q4m.g32", 2}, {"q5.g32", 2}, {"iq4.g32", 2}}

// benchInput is rows rows of an input of w with digits digits.
func benchInput(set *Set, w *Matrix, digits, rows int) Rows {
	a := w.Input()
	if digits == 1 {
		a = a.OneDigit()
	}
	return activate(set, a, randomRow(rand.New(rand.NewPCG(2, 2)), rows*w.K))
}

// BenchmarkDecode multiplies one row with a weight larger than all caches: bound by reading it.
func BenchmarkDecode(b *testing.B) {
	t := team.New(2, nil)
	defer t.Close()
	for _, k := range []int{576, 2048} {
		for _, form := range benchForms {
			format := form.format
			w := benchMatrix(b, format, 1, k)
			w = benchMatrix(b, format, (256<<20)/w.Bytes()*layout.Lanes, k)
			for _, set := range Detect()[1:] {
				b.Run(fmt.Sprintf("%s/digits=%d/K=%d/%s", format, form.digits, k, set.Name), func(b *testing.B) { benchDecode(b, t, set, &w, form.digits) })
			}
		}
	}
}

func benchDecode(b *testing.B, t *team.Team, set *Set, w *Matrix, digits int) {
	x := benchInput(set, w, digits, 1)
	y := make([]float32, w.N)
	scratch := []*Scratch{NewScratch(1), NewScratch(1)}
	took := race(b, t, func(worker int) {
		lo, hi := share(len(w.Data), worker, t.Workers())
		roofline.Read(w.Data[lo:hi])
	}, func(worker int) {
		lo, hi := share(w.Panels(), worker, t.Workers())
		set.Linear(scratch[worker], w, &x, y, w.N, 1, lo, hi)
	})
	b.ReportMetric(float64(len(w.Data))/took[1]/1e9, "GB/s")
	b.ReportMetric(100*took[0]/took[1], "%read")
}

// peakNames lists the multiply-add instructions that kernels of a format are made of, the best last.
var peakNames = map[string][]string{
	"f32": {"f32 fma"}, "nf4": {"f32 fma"}, "nf4s": {"f32 fma"}, "u8o": {"f32 fma"}, "e4m3s": {"f32 fma"}, "q5m": {"f32 fma"}, "q4m": {"int4 vpmaddubsw", "int8 vpdpbusd"}, "q5": {"int4 vpmaddubsw", "int8 vpdpbusd"}, "iq4": {"int8 vpmaddubsw", "int8 vpdpbusd"}, "bf16": {"f32 fma", "bf16 vdpbf16ps", "bf16 tdpbf16ps"}, "u8": {"int8 vpmaddubsw", "int8 vpdpbusd", "int8 tdpbssd"},
	"u4": {"int4 vpmaddubsw", "int8 vpdpbusd", "int8 tdpbssd"}, "u4e": {"int4 vpmaddubsw", "int8 vpdpbusd"}, "u4f": {"int4 vpmaddubsw", "int8 vpdpbusd"}, "u4n": {"int8 vpmaddubsw", "int8 vpdpbusd", "int8 tdpbssd"},
}

// peakFor is the best of them that a set has.
func peakFor(set *Set, format string) roofline.Peak {
	kind, _, _ := strings.Cut(strings.TrimSuffix(format, "z"), ".")
	names := peakNames[strings.TrimSuffix(kind, "z")]
	rank := func(target string) int {
		return slices.IndexFunc(Sets(), func(s *Set) bool { return s.Name == target })
	}
	best := roofline.Peaks[0]
	for _, name := range names {
		for _, p := range roofline.Peaks {
			if p.Name == name && rank(p.Target) <= rank(set.Name) {
				best = p
			}
		}
	}
	return best
}

// BenchmarkBatch multiplies few rows with a weight larger than all caches: bound by reading it or by arithmetic, whichever takes longer.
func BenchmarkBatch(b *testing.B) {
	t := team.New(2, nil)
	defer t.Close()
	for _, form := range benchForms {
		format := form.format
		w := benchMatrix(b, format, 1, 2048)
		w = benchMatrix(b, format, (128<<20)/w.Bytes()*layout.Lanes, 2048)
		for _, rows := range []int{4, 8, 16, 32} {
			for _, set := range Detect()[1:] {
				b.Run(fmt.Sprintf("%s/digits=%d/T=%d/%s", format, form.digits, rows, set.Name), func(b *testing.B) { benchBatch(b, t, set, &w, form.digits, rows) })
			}
		}
	}
}

func benchBatch(b *testing.B, t *team.Team, set *Set, w *Matrix, digits, rows int) {
	x := benchInput(set, w, digits, rows)
	y := make([]float32, rows*w.N)
	scratch := []*Scratch{NewScratch(1), NewScratch(1)}
	peak := peakFor(set, w.Name)
	ops := 2 * float64(digits*rows) * float64(w.N) * float64(w.K)
	took := race(b, t, func(worker int) {
		lo, hi := share(len(w.Data), worker, t.Workers())
		roofline.Read(w.Data[lo:hi])
	}, func(int) { peak.Run(int(ops) / t.Workers() / peak.OpsInRound) }, func(worker int) {
		lo, hi := share(w.Panels(), worker, t.Workers())
		set.Linear(scratch[worker], w, &x, y, w.N, rows, lo, hi)
	})
	b.ReportMetric(float64(len(w.Data))/took[2]/1e9, "GB/s")
	b.ReportMetric(ops/took[2]/1e9, "GOP/s")
	b.ReportMetric(100*max(took[0], took[1])/took[2], "%bound")
}

// BenchmarkPrefill multiplies many rows: bound by arithmetic.
func BenchmarkPrefill(b *testing.B) {
	t := team.New(2, nil)
	defer t.Close()
	for _, shape := range []struct {
		rows, n, k int
	}{
		{512, 960, 576}, {512, 3072, 576}, {512, 576, 576}, {512, 576, 1536}, {512, 2048, 2048}, {512, 2048, 8192},
		{8, 3072, 576}, {16, 3072, 576}, {32, 3072, 576},
	} {
		for _, form := range benchForms {
			format := form.format
			w := benchMatrix(b, format, shape.n, shape.k)
			for _, set := range Detect()[1:] {
				name := fmt.Sprintf("%s/digits=%d/T=%d/%dx%d/%s", format, form.digits, shape.rows, shape.n, shape.k, set.Name)
				b.Run(name, func(b *testing.B) { benchPrefill(b, t, set, &w, form.digits, shape.rows, false) })
				if shape.n == 3072 && shape.rows == 512 {
					b.Run(name+"/swiglu", func(b *testing.B) { benchPrefill(b, t, set, &w, form.digits, shape.rows, true) })
				}
			}
		}
	}
}

func benchPrefill(b *testing.B, t *team.Team, set *Set, w *Matrix, digits, rows int, swiglu bool) {
	x := benchInput(set, w, digits, rows)
	y := hugeFloats(b, rows*w.N)
	scratch := []*Scratch{NewScratch(1), NewScratch(1)}
	peak := peakFor(set, w.Name)
	ops := 2 * float64(digits*rows) * float64(w.N) * float64(w.K)
	repeat := max(1, int(2e9/ops))
	rounds := int(ops*float64(repeat)) / t.Workers() / peak.OpsInRound
	took := race(b, t, func(int) { peak.Run(rounds) }, func(worker int) {
		from, to := share(rows, worker, t.Workers())
		x, y := x, y[from*w.N:]
		x.Data = x.Data[from*x.Stride:]
		for range repeat {
			if swiglu {
				set.LinearSwiGLU(scratch[worker], w, &x, y, w.N/2, w.N/2, to-from, 0, w.Panels()/2)
			} else {
				set.Linear(scratch[worker], w, &x, y, w.N, to-from, 0, w.Panels())
			}
		}
	})
	b.ReportMetric(ops*float64(repeat)/took[1]/1e9, "GOP/s")
	b.ReportMetric(100*took[0]/took[1], "%peak")
}

// hugeFloats is memory as the device has it for results: where the system has huge pages, of those.
func hugeFloats(b *testing.B, n int) []float32 {
	mem, err := unix.Mmap(-1, 0, 4*n+2<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = unix.Munmap(mem) })
	_ = unix.Madvise(mem, unix.MADV_HUGEPAGE)
	return unsafe.Slice((*float32)(unsafe.Pointer(&mem[0])), n)
}
