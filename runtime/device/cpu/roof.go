package cpu

import (
	"slices"
	"time"

	"llmc/engine"
	"llmc/runtime/device/cpu/kernel/roofline"
	"llmc/runtime/device/cpu/team"
)

// Roof is what the processor does at best on some threads: what kernels and engines are judged by, taken in the same minutes.
type Roof struct {
	Threads int        `json:"threads"`
	Read    []RoofRead `json:"read"`
	Peaks   []RoofPeak `json:"peaks"`
}

// RoofRead is how fast memory is read again and again. What fits into a cache comes from there.
type RoofRead struct {
	Bytes     int64   `json:"bytes"` // of the memory, all threads together
	PerSecond float64 `json:"bytes_per_second"`
}

// RoofPeak is how fast one kind of instruction multiplies and adds in registers.
type RoofPeak struct {
	Name      string  `json:"name"`
	Target    string  `json:"target"` // least demanding target that has it
	PerSecond float64 `json:"ops_per_second"`
}

const (
	roofRepeats = 5
	roofLeast   = 20 * time.Millisecond // of one measurement
	roofShare   = 4                     // of the machine's memory, the part that the largest memory may take
)

// roofSizes go from what the cores' own caches hold to what the greatest shared ones do not.
var roofSizes = []int64{1 << 20, 8 << 20, 32 << 20, 64 << 20, 128 << 20, 256 << 20, 512 << 20, 1 << 30}

// MeasureRoof measures on up to that many threads, 0 for as many as there are processors. It takes some seconds, and a gigabyte of memory where
// there are four.
func MeasureRoof(threads int) (*Roof, error) { return measureRoof(threads, roofSizes, roofLeast) }

// measureRoof takes at least that long for each of the measurements that a figure is the median of.
func measureRoof(threads int, sizes []int64, least time.Duration) (*Roof, error) {
	if threads == 0 {
		threads = 1 << 16 // a team has no more workers than processors
	}
	if _, err := engine.FindTarget("native"); err != nil {
		return nil, err
	}
	t := team.New(threads, nil)
	defer t.Close()
	r := &Roof{Threads: t.Workers(), Peaks: []RoofPeak{}}
	sizes = slices.DeleteFunc(slices.Clone(sizes), func(n int64) bool { return n > max(sizes[0], machineMemory()/roofShare) })
	memory, err := newRegion(slices.Max(sizes), "measuring reads")
	if err != nil {
		return nil, err
	}
	defer memory.release()
	for i := 0; i < len(memory); i += 4096 {
		memory[i] = 1
	}
	for _, n := range sizes {
		rate := timed(least, func(times int) {
			t.Run(func(worker int) {
				lo, hi := share(int(n)/roofline.ReadUnit, worker, r.Threads)
				for range times {
					roofline.Read(memory[lo*roofline.ReadUnit : hi*roofline.ReadUnit])
				}
			})
		})
		r.Read = append(r.Read, RoofRead{n, float64(n) * rate})
	}
	for _, p := range roofline.Peaks {
		if target, err := engine.FindTarget(p.Target); err != nil || len(target.Missing()) > 0 {
			continue
		}
		const rounds = 1 << 12 // far more than starting takes
		rate := timed(least, func(times int) { t.Run(func(int) { p.Run(rounds * times) }) })
		r.Peaks = append(r.Peaks, RoofPeak{p.Name, p.Target, float64(p.OpsInRound*rounds*r.Threads) * rate})
	}
	return r, nil
}

// timed returns how often a second work is done, the median of some measurements that each do it often enough to be worth a look at the clock.
func timed(least time.Duration, work func(times int)) float64 {
	times := 1
	for {
		start := time.Now()
		work(times)
		if took := time.Since(start); took >= least/2 {
			times = max(1, int(float64(times)*float64(least)/float64(took)))
			break
		}
		times *= 2
	}
	rates := make([]float64, roofRepeats)
	for i := range rates {
		start := time.Now()
		work(times)
		rates[i] = float64(times) / time.Since(start).Seconds()
	}
	slices.Sort(rates)
	return rates[roofRepeats/2]
}
