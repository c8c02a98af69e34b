package main

import (
	"fmt"
	"strings"
)

// function is one assembly function: its Go declaration and its text.
type function struct {
	name   string
	doc    string         // what it computes, for the declaration
	params string         // Go parameter list
	result string         // Go result list, "" for none
	frame  map[string]int // offsets of parameters and results by name
	args   int            // bytes of parameters and results
	text   strings.Builder
	labels int
}

// newFunction starts a function with the given Go parameter and result lists, such as "x *float32, n int" and "sum float32".
func newFunction(name, doc, params, result string) *function {
	f := &function{name: name, doc: doc, params: params, result: result, frame: map[string]int{}}
	f.layOut(params)
	if result != "" {
		f.args = roundUp(f.args, 8)
		f.layOut(result)
		f.result = "(" + result + ")"
	}
	return f
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

// layOut assigns offsets to a parameter list, as Go's ABI0 does.
func (f *function) layOut(list string) {
	var pending []string
	for _, part := range strings.Split(list, ", ") {
		name, kind, typed := strings.Cut(part, " ")
		pending = append(pending, name)
		if !typed {
			continue
		}
		size := map[string]int{"float32": 4, "int32": 4, "bool": 1}[kind]
		if size == 0 {
			size = 8 // int, uint64 and pointers
		}
		for _, name := range pending {
			f.args = roundUp(f.args, size)
			f.frame[name] = f.args
			f.args += size
		}
		pending = nil
	}
}

// param is the operand of a parameter or result.
func (f *function) param(name string) string {
	at, ok := f.frame[name]
	if !ok {
		panic(f.name + " has no parameter " + name)
	}
	return fmt.Sprintf("%s+%d(FP)", name, at)
}

// op writes one instruction; operands in Go's order, the destination last.
func (f *function) op(mnemonic string, operands ...string) {
	fmt.Fprintf(&f.text, "\t%s", mnemonic)
	if len(operands) > 0 {
		f.text.WriteString(" " + strings.Join(operands, ", "))
	}
	f.text.WriteByte('\n')
}

// note writes a comment line.
func (f *function) note(format string, args ...any) {
	fmt.Fprintf(&f.text, "\t// "+format+"\n", args...)
}

// newLabel returns a label that is unique in the function.
func (f *function) newLabel(name string) string {
	f.labels++
	return fmt.Sprintf("%s%d", name, f.labels)
}

// place puts a label here.
func (f *function) place(label string) { f.text.WriteString(label + ":\n") }

// end writes the return of a function that used wide registers.
func (f *function) end() {
	f.op("VZEROUPPER")
	f.op("RET")
}

// String returns the text of the function.
func (f *function) String() string {
	return fmt.Sprintf("// func %s(%s) %s\nTEXT ·%s(SB), NOSPLIT, $0-%d\n%s", f.name, f.params, f.result, f.name, f.args, f.text.String())
}

// declaration returns the Go declaration.
func (f *function) declaration() string {
	return strings.TrimRight(fmt.Sprintf("// %s %s\n//\n//go:noescape\nfunc %s(%s) %s", f.name, f.doc, f.name, f.params, f.result), " ") + "\n"
}

// imm is an immediate operand.
func imm(v int) string { return fmt.Sprintf("$%d", v) }

// hex is an immediate operand that is a bit pattern.
func hex(v uint32) string { return fmt.Sprintf("$0x%08x", v) }

// mem is the operand at base+disp.
func mem(disp int, base string) string {
	if disp == 0 {
		return "(" + base + ")"
	}
	return fmt.Sprintf("%d(%s)", disp, base)
}

// indexed is the operand at base+index*scale+disp.
func indexed(disp int, base, index string, scale int) string {
	return fmt.Sprintf("%s(%s*%d)", mem(disp, base), index, scale)
}

// field is a field of the struct that base points to, by the names of go_asm.h.
func field(structName, name, base string) string {
	return fmt.Sprintf("%s_%s(%s)", structName, name, base)
}

// rowRegisters hold multiples of the row stride: 1, 3, 5, 7, 9 and 11 times. With the scales 1, 2, 4 and 8 they reach 12 rows.
var rowRegisters = []struct {
	multiple int
	register string
	from     string // register and scale whose sum with R8*scale gives this one
	scale    int
}{
	{3, "R9", "R8", 2}, {5, "R10", "R8", 4}, {7, "R11", "R9", 4}, {9, "R12", "R8", 8}, {11, "R13", "R9", 8},
}

// loadStrides prepares the registers that rowAt uses for rows rows.
func (f *function) loadStrides(stride string, rows int) {
	f.op("MOVQ", stride, "R8")
	for _, r := range rowRegisters {
		if rows > r.multiple {
			f.op("LEAQ", indexed(0, r.from, "R8", r.scale), r.register)
		}
	}
}

// rowAt is the operand disp bytes into row r of a matrix at base.
func rowAt(disp int, base string, r int) string {
	if r == 0 {
		return mem(disp, base)
	}
	scale := r & -r // the power of two in r
	register := "R8"
	for _, m := range rowRegisters {
		if m.multiple == r/scale {
			register = m.register
		}
	}
	return indexed(disp, base, register, scale)
}
