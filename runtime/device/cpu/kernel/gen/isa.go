package main

import "fmt"

// isa is an instruction set that kernels are generated for.
type isa struct {
	name      string // suffix of function names
	target    string // the target whose row the kernels are for
	vector    string // register prefix
	bytes     int    // of a vector
	registers int
	vnni      bool // VPDPBUSD
	bf16      bool // VDPBF16PS, VCVTNEPS2BF16
	tiles     bool // AMX
}

var (
	avx2   = isa{"AVX2", "x86-64-v3", "Y", 32, 16, false, false, false}
	avx512 = isa{"AVX512", "x86-64-v4", "Z", 64, 32, false, false, false}
	vnni   = isa{"VNNI", "x86-64-v4-vnni", "Z", 64, 32, true, false, false}
	bf16   = isa{"BF16", "x86-64-v4-bf16", "Z", 64, 32, true, true, false}
	amx    = isa{"AMX", "x86-64-v4-amx", "Z", 64, 32, true, true, true}
)

// lanes is the number of f32 in a vector.
func (t isa) lanes() int { return t.bytes / 4 }

// wide tells whether the instruction set is AVX-512, which has masks, broadcasts from memory and 32 registers.
func (t isa) wide() bool { return t.bytes == 64 }

// reg names vector register i.
func (t isa) reg(i int) string {
	if i >= t.registers {
		panic(fmt.Sprintf("%s has no register %d", t.name, i))
	}
	return fmt.Sprintf("%s%d", t.vector, i)
}

// bcst is an instruction whose first source is a constant in memory. AVX-512 broadcasts it from there: the linker aligns data to 32 bytes,
// so a 64-byte operand might lie across two cache lines, at half the speed.
func (t isa) bcst(mnemonic string) string {
	if t.wide() {
		return mnemonic + ".BCST"
	}
	return mnemonic
}

// Bitwise instructions have a size in their names in AVX-512.
func (t isa) and() string  { return map[bool]string{false: "VPAND", true: "VPANDD"}[t.wide()] }
func (t isa) move() string { return map[bool]string{false: "VMOVDQA", true: "VMOVDQA64"}[t.wide()] }
func (t isa) load() string { return map[bool]string{false: "VMOVDQU", true: "VMOVDQU32"}[t.wide()] }
