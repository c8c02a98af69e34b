package emu

import (
	"context"
	"encoding/binary"
	"math"
	"testing"
)

// testKernel is a kernel with its memory, for tests.
type testKernel struct {
	t    testing.TB
	k    *Kernel
	mem  *Memory
	args []uint64
	opt  Options
}

func newTestKernel(t testing.TB, text, entry string) *testKernel {
	t.Helper()
	assemble(t, text)
	mod, err := Load(text)
	if err != nil {
		t.Fatal(err)
	}
	k, err := mod.Kernel(entry)
	if err != nil {
		t.Fatal(err)
	}
	return &testKernel{t: t, k: k, mem: NewMemory(), opt: Options{Races: true, Counts: true, Steps: 1 << 30}}
}

// buffer adds an argument that points to data.
func (x *testKernel) buffer(data []byte) []byte {
	x.t.Helper()
	b, err := x.mem.Wrap("argument", data, false)
	if err != nil {
		x.t.Fatal(err)
	}
	x.args = append(x.args, b.Addr())
	return data
}

func (x *testKernel) words(data []uint32) []byte {
	b := make([]byte, 4*len(data))
	for i, v := range data {
		binary.LittleEndian.PutUint32(b[4*i:], v)
	}
	return x.buffer(b)
}

func (x *testKernel) scalar(v uint64) { x.args = append(x.args, v) }

func (x *testKernel) launch(grid, block uint32, shared int) *Counts {
	x.t.Helper()
	return x.launchGrid([3]uint32{grid, 1, 1}, block, shared)
}

func (x *testKernel) launchGrid(grid [3]uint32, block uint32, shared int) *Counts {
	x.t.Helper()
	c, err := x.k.Launch(context.Background(), x.mem, Config{Grid: grid, Block: [3]uint32{block, 1, 1}, Shared: shared, Args: x.args}, x.opt)
	if err != nil {
		x.t.Fatal(err)
	}
	return c
}

func word(b []byte, i int) uint32     { return binary.LittleEndian.Uint32(b[4*i:]) }
func floatAt(b []byte, i int) float32 { return math.Float32frombits(word(b, i)) }
