package gpubench

import (
	"errors"
	"fmt"

	"llmc/codegen/ptx"
	"llmc/runtime/bench"
	"llmc/runtime/device/gpu"
)

const (
	copyThreads = 256
	copyUnroll  = 4  // loads of a thread under way
	copyBytes   = 16 // of each
	copyStep    = copyThreads * copyUnroll * copyBytes
	copyRounds  = 20
)

// copyText is PTX of two entries, every CTA of which has copyStep bytes: "copy" writes what it reads, "read" as good as nothing.
func copyText() (string, error) {
	sm80, _ := ptx.FindTarget("sm_80")
	module := ptx.NewModule(sm80)
	for _, name := range []string{"copy", "read"} {
		b := module.Kernel(name, ptx.Launch{Threads: copyThreads})
		from, to := b.Pointer("from", copyBytes), b.Pointer("to", copyBytes)
		offset := b.Add(b.Mul(b.Cvt(ptx.U64, b.CtaX()), copyStep), b.Cvt(ptx.U64, b.Shl(b.TidX(), 4)))
		source, target := b.Index(from, offset, 1), b.Index(to, offset, 1)
		var loaded [copyUnroll][]ptx.Reg
		for i := range loaded {
			loaded[i] = b.LdV(ptx.U32, 4, source.At(i*copyThreads*copyBytes))
		}
		if name == "copy" {
			for i := range loaded {
				b.StV(target.At(i*copyThreads*copyBytes), loaded[i])
			}
			continue
		}
		all := loaded[0][0]
		for i := range loaded {
			for _, r := range loaded[i] {
				all = b.Or(all, r)
			}
		}
		b.When(b.Eq(all, 0x5eed)).St(target, all) // which it hardly is, but that is for the GPU to find out
	}
	return module.Print()
}

// measureCopy measures the bandwidth of a copy in the device's memory, and of reading alone, on arrays that no cache holds.
func measureCopy(d gpu.Driver, bytes int64, emit func(Row) error) error {
	clock, ok := d.(gpu.Timer)
	if !ok {
		return errors.New(d.Card().Name + " has no clock")
	}
	text, err := copyText()
	if err != nil {
		return err
	}
	code, err := d.Load(text)
	if err != nil {
		return err
	}
	bytes = max(1, bytes/copyStep) * copyStep
	places, err := d.Alloc("copies", []gpu.Range{{Name: "from", Bytes: bytes}, {Name: "to", Bytes: bytes}})
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name  string
		moved float64
	}{{"copy", 2}, {"read", 1}} {
		kernel, err := code.Entry(c.name)
		if err != nil {
			return err
		}
		launch := &gpu.Launch{Kernel: kernel, Label: c.name, Grid: [3]uint32{uint32(bytes / copyStep), 1, 1}, Threads: copyThreads,
			Args: []uint64{places[0].Addr(), places[1].Addr()}}
		micros, err := timeLaunch(d, clock, launch)
		if err != nil {
			return err
		}
		row := Row{Kind: c.name, Name: fmt.Sprintf("%d MiB", bytes>>20), Kernel: c.name, Micros: micros, GBs: c.moved * float64(bytes) / micros / 1e3}
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}

// timeLaunch is the median time of a launch, in microseconds.
func timeLaunch(d gpu.Driver, clock gpu.Timer, l *gpu.Launch) (float64, error) {
	if err := errors.Join(d.Launch(l), clock.Stamp(0)); err != nil {
		return 0, err
	}
	for i := range copyRounds {
		if err := errors.Join(d.Launch(l), clock.Stamp(i+1)); err != nil {
			return 0, err
		}
	}
	if err := d.Finish(); err != nil {
		return 0, err
	}
	var times []float64
	for i := range copyRounds {
		seconds, err := clock.Seconds(i, i+1)
		if err != nil {
			return 0, err
		}
		times = append(times, 1e6*seconds)
	}
	return bench.Median(times), nil
}
