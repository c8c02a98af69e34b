//go:build !kit

package cuda_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"llmc/internal/ptxas"
)

// sassRules say what the machine code of kernels must be made of, by target and class of the budget. They stand for what the kernels are for:
// a product that an assembler turned into plain multiplications, or a copy that it took apart, computes the same and is of no use.
// Instructions are named as nvdisasm names them ("CUDA Binary Utilities", Instruction Set Reference), without their modifiers or with the first of them.
var sassRules = []struct {
	targets, classes string // patterns
	must, mustNot    []string
}{
	{`.`, `.`, nil, []string{"LDL", "STL"}},                       // no spilled registers
	{`.`, `^([^s]|s[^a])`, nil, []string{"DADD", "DMUL", "DFMA"}}, // no f64 but in sampling, which wants the host's bits
	{`sm80|sm89`, `^linear.*frag\.(bf16|u4|u8)`, []string{"HMMA.16816.F32.BF16", "BAR"}, nil},
	{`sm80`, `^linear.*frag\.e4m3`, []string{"HMMA.16816.F32.BF16", "BAR"}, nil},
	{`sm89`, `^linear.*frag\.e4m3`, []string{"QMMA.16832.F32.E4M3.E4M3", "BAR"}, []string{"HMMA"}},
	{`sm80|sm89`, multistageClass + `frag\.(bf16|u4|u8|s8)`, []string{"LDSM.16.M88.4", "LDGSTS.E.BYPASS"}, nil},
	{`sm89`, multistageClass + `frag\.e4m3`, []string{"LDSM.16.M88.4", "LDGSTS.E.BYPASS"}, nil},
	{`sm80`, multistageClass + `frag\.e4m3`, []string{"LDS.64", "LDGSTS.E.BYPASS"}, nil}, // see swizzled
	{`sm90`, `^linear.*frag\.(bf16|u4|u8)`, []string{"HGMMA", "WARPGROUP", "UBLKCP", "SYNCS", "LDGSTS"}, []string{"HMMA"}},
	{`sm80|sm89`, `^linear.*frag\.s8`, []string{"IMMA.16832.S8.S8", "BAR"}, []string{"HMMA"}},
	{`sm90`, `^linear.*frag\.e4m3`, []string{"QGMMA", "WARPGROUP", "UBLKCP", "SYNCS"}, []string{"HMMA", "QMMA"}},
	{`sm90`, `^linear.*frag\.s8`, []string{"IGMMA", "WARPGROUP", "UBLKCP", "SYNCS"}, []string{"HMMA", "IMMA"}},
	{`.`, `^headwise`, []string{"HMMA.16816.F32"}, nil},
	{`.`, `^attention`, []string{"HMMA.16816.F32", "LDSM", "LDGSTS", "MUFU.EX2"}, nil},
	{`.`, `^(add_)?rmsnorm`, []string{"MUFU.RSQ", "BAR"}, []string{"HMMA"}},
	{`.`, `^quantize`, nil, []string{"HMMA"}},
	{`sm89|sm90`, `^quantize,e4m3`, []string{"F2FP"}, nil},
}

// multistageClass begins the classes of products for more than 32 tokens where there is no wgmma.
const multistageClass = `^linear[a-z_]*(_to_64[a-z0-9_]*)?,.*`

// TestAssembleSASS disassembles what ptxas makes of a model's kernels of every family and format.
func TestAssembleSASS(t *testing.T) {
	t.Parallel()
	disassembler, assemblers := ptxas.FindDisassembler(t), ptxas.Find(t)
	if os.Getenv("LLMC_LONG") != "all" { // the newest one's code is what drivers make today
		assemblers = assemblers[len(assemblers)-1:]
	}
	used := make([]bool, len(sassRules))
	var mu sync.Mutex // of used
	t.Run("targets", func(t *testing.T) {
		for _, target := range budgetTargets {
			chosen := collect(t, target, "llama 8B").chosen()
			classes := chosen.classes()
			for _, a := range assemblers {
				for i, text := range chosen.modules(t, a) {
					t.Run(fmt.Sprintf("%s/%s/%d", target, a.Release, i), func(t *testing.T) {
						t.Parallel()
						codes := disassembler.Disassemble(t, a, text)
						mu.Lock()
						defer mu.Unlock()
						for entry, code := range codes {
							class := ruled(classes[entry])
							for _, fault := range append(judge(target, class, code.Opcodes(), used), judgeLoops(target, class, code)...) {
								t.Errorf("%s: %s", classes[entry], fault)
							}
						}
					})
				}
			}
		}
	})
	for i, rule := range sassRules {
		if !used[i] {
			t.Errorf("no kernel of %s is of class %s", rule.targets, rule.classes)
		}
	}
}

// ruled is a class as rules call it. Products by the matrix of each head have neither the tiles nor the copies of other products.
func ruled(class string) string { return strings.Replace(class, "linear_heads", "headwise", 1) }

// judge holds the instructions of an entry to every rule for it, and notes the rules.
func judge(target, class string, opcodes map[string]int, used []bool) (faults []string) {
	has := func(name string) bool {
		for op := range opcodes {
			if op == name || strings.HasPrefix(op, name+".") {
				return true
			}
		}
		return false
	}
	for i, rule := range sassRules {
		if !regexp.MustCompile(rule.targets).MatchString(target) || !regexp.MustCompile(rule.classes).MatchString(class) {
			continue
		}
		used[i] = true
		for _, name := range rule.must {
			if !has(name) {
				faults = append(faults, "there is no "+name)
			}
		}
		for _, name := range rule.mustNot {
			if has(name) {
				faults = append(faults, "there is "+name)
			}
		}
	}
	return faults
}

// TestJudgeSASS wants the rules to see what they are for, whether or not a disassembler is there.
func TestJudgeSASS(t *testing.T) {
	good := map[string]int{"HGMMA.64": 4, "WARPGROUP.ARRIVE": 1, "UBLKCP.S.G": 1, "SYNCS.EXCH.64": 2, "LDGSTS.E.BYPASS.128": 1}
	used := make([]bool, len(sassRules))
	const class = "linear_to_8,frag.u4.g128,f32"
	if faults := judge("sm90", class, good, used); len(faults) != 0 || !used[0] {
		t.Errorf("%v", faults)
	}
	for _, c := range []struct{ drop, add, want string }{
		{"HGMMA.64", "HMMA.16816.F32.BF16", "there is no HGMMA, there is HMMA"}, {"UBLKCP.S.G", "LDG.E", "there is no UBLKCP"}, {"", "STL.64", "there is STL"},
	} {
		bad := map[string]int{c.add: 1}
		for op, n := range good {
			if op != c.drop {
				bad[op] = n
			}
		}
		faults := judge("sm90", class, bad, used)
		want := strings.Split(c.want, ", ")
		slices.Sort(want)
		slices.Sort(faults)
		if !slices.Equal(faults, want) {
			t.Errorf("%+v: %v", c, faults)
		}
	}
}
