package emu

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

const gemmM, gemmN = 128, 64

// gemmCase is a sample kernel with the packing of its operands.
var gemmCases = []struct {
	name   string
	block  uint32
	shared int
	pack   func(v []int, rows, k, tileRows int) []byte
}{
	{"gemm_sm80", 128, 0, packRows},
	{"gemm_sm90a", 160, 3 * 12288, packTiles},
}

func bf16Code(v int) uint16 { return uint16(formatBF16.round(float64(v), roundNearest, false)) }

func packRows(v []int, _, _, _ int) []byte {
	b := make([]byte, 2*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint16(b[2*i:], bf16Code(x))
	}
	return b
}

// packTiles cuts rows x k into tiles of tileRows x 64 in the 128-byte swizzled layout, k innermost.
func packTiles(v []int, rows, k, tileRows int) []byte {
	b := make([]byte, 2*len(v))
	x := tile{rows: tileRows, k: 64, size: 2, swizzle: 128, stride: 1024}
	for row := range rows {
		for kk := range k {
			n := row/tileRows*(k/64) + kk/64
			at := n*tileRows*128 + x.place(row%tileRows, kk%64)
			binary.LittleEndian.PutUint16(b[at:], bf16Code(v[row*k+kk]))
		}
	}
	return b
}

func TestGemm(t *testing.T) {
	for _, c := range gemmCases {
		text, err := os.ReadFile("testdata/" + c.name + ".ptx")
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []int{64, 128, 448} {
			for seed := range uint64(3) {
				t.Run(fmt.Sprintf("%s/k%d/seed%d", c.name, k, seed), func(t *testing.T) {
					rng := rand.New(rand.NewPCG(seed, uint64(k)))
					a, b := make([]int, gemmM*k), make([]int, gemmN*k)
					for _, m := range [][]int{a, b} {
						for i := range m {
							m[i] = rng.IntN(9) - 4
						}
					}
					x := newTestKernel(t, string(text), "gemm")
					x.opt.Seed = seed
					x.buffer(c.pack(a, gemmM, k, 64))
					x.buffer(c.pack(b, gemmN, k, 32))
					out := x.words(make([]uint32, gemmM*gemmN))
					x.scalar(gemmN)
					x.scalar(uint64(k))
					counts := x.launchGrid([3]uint32{gemmM / 64, gemmN / 32, 1}, c.block, c.shared)
					checkGemm(t, a, b, out, k)
					checkGemmCounts(t, counts, k)
				})
			}
		}
	}
}

func checkGemm(t *testing.T, a, b []int, out []byte, k int) {
	for row := range gemmM {
		for col := range gemmN {
			sum := 0
			for kk := range k {
				sum += a[row*k+kk] * b[col*k+kk]
			}
			if got := floatAt(out, row*gemmN+col); got != float32(sum) {
				t.Fatalf("row %d, column %d: %g, want %d", row, col, got, sum)
			}
		}
	}
}

// checkGemmCounts compares with what the algorithm must do: every CTA reads its rows of A and B once.
func checkGemmCounts(t *testing.T, c *Counts, k int) {
	ctas := gemmM / 64 * gemmN / 32
	if c.MACs != uint64(gemmM*gemmN*k) {
		t.Errorf("%d multiply-adds, want %d", c.MACs, gemmM*gemmN*k)
	}
	if want := uint64(ctas * (64 + 32) * k * 2); c.CopiedBytes != want {
		t.Errorf("%d bytes copied, want %d", c.CopiedBytes, want)
	}
	if c.GlobalStored != gemmM*gemmN*4 {
		t.Errorf("%d bytes stored, want %d", c.GlobalStored, gemmM*gemmN*4)
	}
	var lines MemoryCounts
	for _, l := range c.Lines {
		lines.add(&l.MemoryCounts)
		// Copies of 64 bytes of a row are stored two rows at a time, of which the second is 80 bytes behind the first.
		if l.Conflicts != 0 && !strings.HasPrefix(l.Inst, "cp.async") {
			t.Errorf("line %d, %s: %d bank conflicts", l.Line, l.Inst, l.Conflicts)
		}
	}
	if lines != c.MemoryCounts {
		t.Errorf("the lines moved %+v, the launch %+v", lines, c.MemoryCounts)
	}
}
