package ptx

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// sample calls the form with registers and immediates of the wanted kinds.
type sample struct {
	b      *Builder
	global Reg
	shared Reg
	policy Reg // an arbitrary number as policy brings some assemblers down
	regs   map[Type][]Reg
}

func newSample(m *Module, name string) *sample {
	b := m.Kernel(name, Launch{Threads: 128})
	s := &sample{b: b, regs: map[Type][]Reg{}}
	s.global = b.Pointer("p", 16)
	s.shared = b.Addr(b.Dynamic("tile", 4096, 1024))
	s.policy = b.CreatePolicy(L2EvictFirst, 1.0)
	return s
}

// take gives n registers of the type; they are made once and hold zero.
func (s *sample) take(t Type, n int) []Reg {
	for len(s.regs[t]) < n {
		r := s.b.Reg(t)
		switch {
		case t == Pred:
			s.b.emit("setp.eq.u32", r, 0, 0)
		case t == Global:
			s.b.emit("mov.b64", r, s.global)
		default:
			s.b.emit("mov."+[...]string{class16: "b16", class32: "b32", class64: "b64"}[t.class()], r, 0)
		}
		s.regs[t] = append(s.regs[t], r)
	}
	return s.regs[t][:n]
}

// immediates that instructions restrict; everything else takes 1.
var immediates = map[string]int{
	"cp.async.": 16, "setmaxnreg": 64, "cp.async.wait": 0, "cp.async.bulk.wait": 0, "wgmma.wait": 0, "lop3": 0x80, "cp.async.bulk": 16, "bar.": 1,
}

func (f *Form) sampleImmediate() int {
	best, value := "", 1
	for prefix, v := range immediates {
		if strings.HasPrefix(f.Name, prefix) && len(prefix) > len(best) {
			best, value = prefix, v
		}
	}
	return value
}

// many gives the registers of a vector operand, or of a single one.
func (s *sample) many(o spec) []any {
	if o.count == 0 {
		return []any{s.take(o.typ, 1)[0]}
	}
	return []any{s.take(o.typ, o.count)}
}

func (s *sample) emit(f *Form) {
	var args []any
	for n, o := range f.operands {
		switch {
		case o.typ == B64 && n > 0 && strings.Contains(f.Name, "cache_hint"):
			if o.count == 0 && n == len(f.operands)-1 {
				args = append(args, s.policy)
			} else {
				args = append(args, s.many(o)...)
			}
		case o.space == "global":
			args = append(args, s.global)
		case o.space == "shared":
			args = append(args, s.shared.At(16*n))
		case o.space == "param":
			args = append(args, Addr{symbol: s.b.paramSymbol(0)})
		case o.symbol && strings.HasSuffix(f.Name, "u64/special"):
			args = append(args, special("%clock64"))
		case o.symbol && strings.HasSuffix(f.Name, "special"):
			args = append(args, special("%tid.x"))
		case o.symbol:
			args = append(args, special(dynamicSymbol))
		case o.typ == None:
			args = append(args, f.sampleImmediate())
		case o.second != None:
			args = append(args, pair{s.take(o.typ, 1)[0], s.take(o.second, 1)[0]})
		case o.count > 0:
			args = append(args, s.many(o)...)
		case o.immediate && strings.HasPrefix(f.Name, "bar.") && n == 1:
			args = append(args, 32)
		case o.immediate && needsConstant(f, n):
			args = append(args, f.sampleImmediate())
		case o.immediate && strings.HasPrefix(f.Name, "createpolicy"):
			args = append(args, 1.0)
		default:
			args = append(args, s.take(o.typ, 1)[0])
		}
	}
	s.b.emit(f.Name, args...)
}

// needsConstant tells operands that are registers or constants but must hold sensible numbers to assemble.
func needsConstant(f *Form, operand int) bool {
	return strings.HasPrefix(f.Name, "bar.") || strings.Contains(f.Name, "noComplete") || strings.Contains(f.Name, "shfl") && operand > 1
}

// TestEveryRowExpands proves that patterns and operands parse, names are unique, and each form is served by some target.
func TestEveryRowExpands(t *testing.T) {
	n := 0
	for _, r := range rows() {
		for _, f := range r.expand() {
			n++
			served := slices.ContainsFunc(Targets, func(target Target) bool { _, ok := f.version(target); return ok })
			if !served {
				t.Errorf("%s: no target has it (%s)", f.Name, f.requirements())
			}
			if strings.ContainsAny(f.Name, "{}$") {
				t.Errorf("%s: alternatives left", f.Name)
			}
		}
	}
	if n != len(forms()) {
		t.Errorf("%d forms, %d names", n, len(forms()))
	}
	t.Logf("%d rows, %d forms", len(rows()), n)
}

// skipped leaves most of the many shapes of wgmma to LLMC_LONG=1.
func skipped(f *Form) bool {
	var n int
	if _, err := fmt.Sscanf(f.Name, "wgmma.mma_async.sync.aligned.m64n%dk", &n); err != nil {
		return false
	}
	return os.Getenv("LLMC_LONG") != "1" && n != 8 && n != 24 && n != 256
}

// TestFormsAssemble gives every form of a target to every ptxas that is new enough.
func TestFormsAssemble(t *testing.T) {
	for _, a := range assemblers(t) {
		for _, target := range []Target{SM80, SM89, SM90, SM90a} {
			t.Run(fmt.Sprintf("%s/%s", a.version, target.Name), func(t *testing.T) {
				m := NewModule(target)
				for n, r := range rows() {
					if s := len(r.expand()); s == 0 {
						t.Fatal(r.pattern)
					}
					var k *sample
					for _, f := range r.expand() {
						v, ok := f.version(target)
						if !ok || v > a.version || skipped(f) {
							continue
						}
						if k == nil {
							k = newSample(m, fmt.Sprintf("row%d", n))
						}
						k.emit(f)
					}
				}
				for _, k := range m.kernels {
					for _, err := range k.errs {
						t.Error(err)
					}
				}
				a.Run(t, m.text(), target.Name)
			})
		}
	}
}
