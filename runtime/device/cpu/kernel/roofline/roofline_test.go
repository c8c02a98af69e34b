package roofline

import (
	"encoding/binary"
	"testing"

	"llmc/internal/amx"

	"golang.org/x/sys/cpu"
)

// Read really reads: every word of the range, and none behind it.
func TestReadSeesEveryWord(t *testing.T) {
	if !cpu.X86.HasAVX2 {
		t.Skip("needs AVX2")
	}
	p := make([]byte, 2*ReadUnit+8)
	for i := 0; i < 2*ReadUnit; i += 8 {
		binary.LittleEndian.PutUint64(p[i:], 5)
		x := Read(p)
		binary.LittleEndian.PutUint64(p[i:], 0)
		if i%32 == 0 && x != 5 { // lane 0 of the vectors is what is returned
			t.Fatalf("word %d was not read: %#x", i/8, x)
		}
	}
	p[2*ReadUnit] = 1
	if x := Read(p); x != 0 || Read(p[:ReadUnit-1]) != 0 {
		t.Errorf("read behind the last whole unit: %#x", x)
	}
}

func TestPeaksRun(t *testing.T) {
	has := map[string]bool{"x86-64-v3": cpu.X86.HasAVX2, "x86-64-v4": cpu.X86.HasAVX512BW,
		"x86-64-v4-vnni": cpu.X86.HasAVX512VNNI, "x86-64-v4-bf16": cpu.X86.HasAVX512BF16, "x86-64-v4-amx": amx.Usable}
	for _, p := range Peaks {
		if has[p.Target] {
			p.Run(3)
		}
		if p.OpsInRound%(2*chains) != 0 {
			t.Errorf("%s: %d operations are not whole instructions", p.Name, p.OpsInRound)
		}
	}
}
