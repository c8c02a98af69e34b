package emu

import (
	"fmt"
	"strings"
)

// Kind classifies a Fault.
type Kind uint8

// Kinds of faults.
const (
	BadAddress Kind = iota + 1
	Misaligned
	ReadOnly
	Uninitialized
	Divergence
	Deadlock
	Race
	AsyncHazard  // the result or source of an asynchronous operation touched before its wait
	MissingFence // fence.proxy.async or wgmma.fence
	BadOperand   // a value that the instruction does not allow
	Trapped      // trap
	StepLimit
	Canceled
	TooEarly // memory of a launch that may not have ended, touched before griddepcontrol.wait
)

var kindNames = [...]string{
	"", "bad address", "misaligned access", "write to read-only memory", "uninitialized read", "divergence", "deadlock", "race",
	"asynchronous hazard", "missing fence", "bad operand", "trap", "step limit", "canceled", "access before griddepcontrol.wait",
}

func (k Kind) String() string { return kindNames[k] }

// Fault is an error of a running kernel.
type Fault struct {
	Kind   Kind
	Kernel string
	Line   int    // in the PTX text; 0 where no line is to blame
	Inst   string // opcode with modifiers
	CTA    [3]uint32
	Thread [3]uint32
	Whole  bool // no single thread is to blame: CTA and Thread mean nothing
	Addr   uint64
	HasA   bool
	Msg    string
}

func (f *Fault) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kernel %s", f.Kernel)
	if f.Line > 0 {
		fmt.Fprintf(&b, ", line %d (%s)", f.Line, f.Inst)
	}
	if !f.Whole {
		fmt.Fprintf(&b, ", ctaid %d,%d,%d tid %d,%d,%d", f.CTA[0], f.CTA[1], f.CTA[2], f.Thread[0], f.Thread[1], f.Thread[2])
	}
	if f.HasA {
		fmt.Fprintf(&b, ", address %#x", f.Addr)
	}
	fmt.Fprintf(&b, ": %s: %s", f.Kind, f.Msg)
	return b.String()
}

// DecodeError is an instruction or declaration that the emulator cannot run.
type DecodeError struct {
	Kernel    string
	Line, Col int
	Msg       string
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("kernel %s, line %d, column %d: %s", e.Kernel, e.Line, e.Col, e.Msg)
}

// fail records the first fault of the warp, blaming lane.
func (w *warp) fail(kind Kind, lane int, format string, args ...any) {
	w.failAt(kind, lane, 0, false, format, args...)
}

// failAddr is fail with an address.
func (w *warp) failAddr(kind Kind, lane int, addr uint64, format string, args ...any) {
	w.failAt(kind, lane, addr, true, format, args...)
}

func (w *warp) failAt(kind Kind, lane int, addr uint64, hasAddr bool, format string, args ...any) {
	if w.fault != nil {
		return
	}
	in := &w.prog.code[w.pc]
	w.fault = &Fault{
		Kind: kind, Kernel: w.prog.name, Line: in.line, Inst: in.name, CTA: w.cta.id, Thread: w.thread(lane),
		Addr: addr, HasA: hasAddr, Msg: fmt.Sprintf(format, args...),
	}
}

// thread is the three-dimensional tid of a lane.
func (w *warp) thread(lane int) [3]uint32 {
	n := uint32(w.index*warpSize + lane)
	b := w.cta.launch.Block
	return [3]uint32{n % b[0], n / b[0] % b[1], n / b[0] / b[1]}
}
