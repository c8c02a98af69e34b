package emu

import "llmc/runtime/device/emu/ptxtext"

// signal says how a warp goes on after an instruction.
type signal uint8

const (
	goOn   signal = iota // next instruction
	jump                 // w.pc has been set
	yield                // let others run first, then the next instruction
	wait                 // the same instruction again when more lanes have come
	park                 // the next instruction when w.parked is done
	finish               // the executing lanes are done
	split                // branch taken by some lanes: w.target for w.exec
)

// inst is a decoded instruction.
type inst struct {
	run   func(w *warp) signal
	guard int32 // predicate, or -1
	not   bool
	whole bool // run even where the guard leaves no lane
	line  int
	name  string
	class Class
	macs  uint32
	dsts  []int32 // registers written, for the stamps of wgmma kernels
}

// special is a register that holds a special register (%tid.x); fill sets it when a warp starts.
type special struct {
	reg  int32
	fill func(w *warp, v *vec)
}

// constant is a register that never changes.
type constant struct {
	reg  int32
	bits uint64
}

// param is one kernel parameter at its place in the parameter bytes.
type param struct {
	name         string
	offset, size int
}

// program is a kernel ready to run.
type program struct {
	name      string
	mod       *Module
	code      []inst
	regs      int
	preds     int
	regNames  []string
	predNames []string
	constants []constant
	specials  []special
	params    []param
	paramSize int
	limits    ptxtext.Limits
	shared    int  // bytes of static shared memory, from sharedBase
	dynAlign  int  // alignment of dynamic shared memory
	usesDyn   bool // an extern shared array is declared
	local     int  // bytes of local memory of a thread
	wgmma     bool // some instruction is wgmma: register stamps are kept
}

// Predicates 0 and 1 are the constants false and true.
const (
	predFalse   = 0
	predTrue    = 1
	fixedPreds  = 2
	sharedBase  = 1024 // the first KiB of shared memory belongs to the system, as on sm_90
	maxShared   = 227 << 10
	maxProgram  = 1 << 20 // instructions after inlining
	maxRegs     = 1 << 15
	maxLocal    = 1 << 20
	maxCallDeep = 32
)
