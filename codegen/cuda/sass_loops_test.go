//go:build !kit

package cuda_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"llmc/internal/ptxas"
)

// loopRules say what the machine code of main loops must be, by target and class of the budget: what is waited for in them was started rounds before. A
// loop is found by an instruction that it has, and is the innermost that has it.
var loopRules = []struct {
	targets, classes string // patterns
	has              string // beginnings of instructions
	must, mustNot    []string
	wait             string // the instruction that waits, of which each lets at least least groups be under way
	least            int
}{
	// Copies to stages: the wait lets all be under way but those of the stage that is multiplied next.
	{`sm80|sm89`, multistageClass + `frag\.`, "HMMA|IMMA|QMMA", []string{"LDGSTS", "LDGDEPBAR", "BAR.SYNC"}, []string{"LDL", "STL", "LDG"}, "DEPBAR.LE SB0", 1},
	{`.`, `^attention,.*[^m]$`, "LDGSTS", []string{"HMMA", "LDGDEPBAR", "BAR.SYNC"}, []string{"LDL", "STL"}, "DEPBAR.LE SB0", 1},
	// On sm90 those who multiply wait for stages and for their products, and touch no memory but shared; those who feed wait for copies of rounds before.
	{`sm90`, `^linear`, "HGMMA|QGMMA|IGMMA", []string{"SYNCS.PHASECHK", "LDS"}, []string{"LDL", "STL", "LDG", "STG", "BAR.SYNC"}, "WARPGROUP.DEPBAR.LE gsb0", 0},
	{`sm90`, `^linear.*_to_16,frag\.u4`, "LDGDEPBAR", []string{"LDGSTS", "UBLKCP"}, []string{"LDL", "STL"}, "DEPBAR.LE SB0", 0}, // two stages, since two CTAs share the memory
	{`sm90`, `^linear([^1]|1[^6])*,frag`, "LDGDEPBAR", []string{"LDGSTS", "UBLKCP"}, []string{"LDL", "STL"}, "DEPBAR.LE SB0", 1},
}

// judgeLoops holds the loops of an entry to every rule for it.
func judgeLoops(target, class string, code *ptxas.Code) (faults []string) {
	for _, rule := range loopRules {
		if !regexp.MustCompile(rule.targets).MatchString(target) || !regexp.MustCompile(rule.classes).MatchString(class) {
			continue
		}
		for _, loop := range innermost(code, regexp.MustCompile(`^(`+rule.has+`)`)) {
			faults = append(faults, judgeLoop(code.Of(loop), rule.must, rule.mustNot, rule.wait, rule.least)...)
		}
	}
	// Sums of groups of codes of 8 bits leave four panels no registers for fragments ahead; their assemblers load some right before they are wanted.
	if streamClass.MatchString(class) && !strings.Contains(class, "frag.e4m3.g") {
		for _, loop := range innermost(code, regexp.MustCompile(`^(HMMA|IMMA|QMMA)`)) {
			faults = append(faults, judgeStream(code.Of(loop))...)
		}
	}
	return faults
}

// innermost are the loops that have an instruction, without those around others that have it. Retries of a wait lie behind the code that they go back into,
// and so seem to be loops: they begin inside of one and end behind it.
func innermost(code *ptxas.Code, has *regexp.Regexp) (list []ptxas.Loop) {
	having := slices.DeleteFunc(slices.Clone(code.Loops), func(l ptxas.Loop) bool {
		retry := func(o ptxas.Loop) bool { return o.First < l.First && l.First <= o.Last && o.Last < l.Last }
		return slices.ContainsFunc(code.Loops, retry) || !slices.ContainsFunc(code.Of(l), func(in ptxas.Instruction) bool { return has.MatchString(in.Op) })
	})
	for _, l := range having {
		if !slices.ContainsFunc(having, func(o ptxas.Loop) bool { return o != l && o.First >= l.First && o.Last <= l.Last }) {
			list = append(list, l)
		}
	}
	return list
}

func judgeLoop(loop []ptxas.Instruction, must, mustNot []string, wait string, least int) (faults []string) {
	has := func(op string) bool {
		return slices.ContainsFunc(loop, func(in ptxas.Instruction) bool { return in.Op == op || strings.HasPrefix(in.Op, op+".") })
	}
	for _, op := range must {
		if !has(op) {
			faults = append(faults, "a main loop without "+op)
		}
	}
	for _, op := range mustNot {
		if has(op) {
			faults = append(faults, "a main loop with "+op)
		}
	}
	op, operand, _ := strings.Cut(wait, " ")
	waits := 0
	for _, in := range loop {
		rest, ok := strings.CutPrefix(in.Operands, operand+", 0x")
		if in.Op != op || !ok {
			continue
		}
		waits++
		if n, err := strconv.ParseInt(rest, 16, 32); err != nil || int(n) < least {
			faults = append(faults, fmt.Sprintf("a main loop waits until %s groups are under way, at least %d are wanted", rest, least))
		}
	}
	if waits == 0 {
		faults = append(faults, "a main loop without "+wait)
	}
	return faults
}

// streamClass are products for few tokens where there is no wgmma, which read weights into registers.
var streamClass = regexp.MustCompile(`^(moe_)?linear[a-z_]*(_to_(16|32))?[a-z_]*,frag`)

var vectorRegister = regexp.MustCompile(`\bR(\d+)\b`)

// judgeStream wants each load of weights, 16 bytes to a lane, to be under way while others are started, or matrices multiplied, before it is used: it is
// first used in the next round, or behind streamAhead others at least.
func judgeStream(loop []ptxas.Instruction) (faults []string) {
	const streamAhead = 1
	for i, in := range loop {
		if in.Op != "LDG.E.128.CONSTANT" {
			continue
		}
		m := vectorRegister.FindStringSubmatch(in.Operands)
		if m == nil {
			continue
		}
		first, _ := strconv.Atoi(m[1])
		others := 0
		for _, next := range loop[i+1:] {
			if next.Op == in.Op || strings.Contains(next.Op, "MMA") && !reads(next, first) {
				others++
			}
			if reads(next, first) {
				if others < streamAhead {
					faults = append(faults, fmt.Sprintf("%s is used by %s behind %d loads and products", in.Operands, next.Op, others))
				}
				break
			}
		}
	}
	return faults
}

// reads tells whether an instruction has one of four registers among its sources: those behind the first operand. Operands of matrix instructions are
// named by the first of their registers.
func reads(in ptxas.Instruction, first int) bool {
	_, sources, _ := strings.Cut(in.Operands, ",")
	for _, m := range vectorRegister.FindAllStringSubmatch(sources, -1) {
		if n, _ := strconv.Atoi(m[1]); n >= first && n < first+4 {
			return true
		}
	}
	return false
}

// sassText is a loop over stages as nvdisasm prints it, with a retry behind the end that goes back into it.
const sassText = `
	.section	.text.k,"ax",@progbits
.text.k:
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_1:
        /*0010*/                   DEPBAR.LE SB0, 0x2 ;
        /*0020*/                   BAR.SYNC.DEFER_BLOCKING 0x0 ;
        /*0030*/              @!P0 LDGSTS.E.BYPASS.128 [R4], [R2.64] ;
        /*0040*/                   LDGDEPBAR ;
.L_x_3:
        /*0050*/                   HMMA.16816.F32.BF16 R8, R12.reuse, R22, R8 ;
        /*0060*/              @!P1 BRA ` + "`(.L_x_1) ;" + `
        /*0070*/                   EXIT ;
.L_x_2:
        /*0080*/              @!P2 BRA ` + "`(.L_x_2) ;" + `
        /*0090*/                   BRA ` + "`(.L_x_3) ;" + `
`

// TestJudgeLoops wants the rules to see what they are for, whether or not a disassembler is there.
func TestJudgeLoops(t *testing.T) {
	const class = "linear_to_64,frag.bf16,f32"
	for _, c := range []struct{ from, to, want string }{
		{"", "", ""}, {"SB0, 0x2", "SB0, 0x0", "a main loop waits until 0 groups are under way, at least 1 are wanted"}, {"DEPBAR.LE SB0, 0x2 ;", "NOP ;", "a main loop without DEPBAR.LE SB0"},
		{"BAR.SYNC.DEFER_BLOCKING 0x0", "STL.64 [R1], R2", "a main loop without BAR.SYNC; a main loop with STL"}, {"LDGDEPBAR", "LDG.E R5, [R2.64]", "a main loop without LDGDEPBAR; a main loop with LDG"},
	} {
		code := ptxas.ReadSASS(strings.Replace(sassText, c.from, c.to, 1))["k"]
		if len(code.Loops) != 2 || len(code.Instructions) != 10 {
			t.Fatalf("%d loops in %d instructions", len(code.Loops), len(code.Instructions))
		}
		if got := strings.Join(judgeLoops("sm80", class, code), "; "); got != c.want {
			t.Errorf("%q: %s, want %s", c.to, got, c.want)
		}
	}
	stream := func(lines ...string) (loop []ptxas.Instruction) {
		for _, line := range lines {
			op, operands, _ := strings.Cut(line, " ")
			loop = append(loop, ptxas.Instruction{Op: op, Operands: operands})
		}
		return loop
	}
	const load, other, use = "LDG.E.128.CONSTANT R12, [R20.64]", "LDG.E.128.CONSTANT R16, [R20.64+0x200]", "HMMA.16816.F32.BF16 R4, R12.reuse, R22, R4"
	for name, c := range map[string]struct {
		loop   []ptxas.Instruction
		faults int
	}{
		"right behind": {stream(load, use), 1}, "in the next round": {stream(use, load), 0}, "behind others": {stream(load, other, other, use), 0},
		"a word of it": {stream(load, "SHF.R.U32.HI R3, RZ, 0x4, R15"), 1}, "not read": {stream(load, "HMMA.16816.F32.BF16 R12, R24, R22, R4"), 0},
	} {
		if faults := judgeStream(c.loop); len(faults) != c.faults {
			t.Errorf("%s: %v", name, faults)
		}
	}
}
