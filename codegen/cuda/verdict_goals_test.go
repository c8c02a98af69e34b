//go:build !kit

package cuda_test

import (
	"fmt"
	"strings"

	"llmc/compiler/dump"
)

const pageHead = `# Kernels: what is predicted, what is measured

Written by ` + "`UPDATE=1 go test -run 'KernelsPage' ./codegen/cuda`" + `, do not edit. Nothing on this page is measured on a GPU: "unproven" says so of each kernel.

Times are those of ` + "`llmc inspect PLAN --card h200`" + ` (` + "`compiler/predict`" + `): a launch takes the longest of

- **memory**: its bytes, round of CTAs by round, at the rate at which these have bytes under way (Little's law), at most what long reads get of the bandwidth;
- **L2 cache**: what CTAs take in, however often, by the rate of the cache and of the busy multiprocessors' ports (64 bytes a cycle each);
- **matrix units**: what they are given, tiles filled up, by what products get of the peak, longer by what is idle in the last round of CTAs;
- **instructions**: those of the main loop, four a cycle and multiprocessor;

and a **gap** before it, which limits launches that are shorter. The bound is bytes by bandwidth or operations by peak of the data sheet, whichever is longer. Registers are those that ptxas 13.5 gives the
kernel's class (` + "`codegen/cuda/testdata/budget.txt`" + `).

## Cards

Figures of data sheets but for the shares of bandwidth and peak, mma.sync, L2 rate, latency and gap, which are published measurements of others (` + "`engine/card.go`" + ` names the sources). The last column is the gap before launches that start while the one before them ends, which is a guess.
`

const pageLaunches = `
Each cell is the predicted percentage of the bound and what limits it, at decoding steps of 1 to 256 sequences of 1024 positions and prompts of 512 and 2048 tokens. Useful bytes of weight and cache streams, conflicts of banks in loops,
and instructions for each matrix instruction (of the entries in the order of steps; a wgmma is the work of 8 to 128 mma.sync) come from the emulator (` + "`codegen/cuda/testdata/traffic.txt`" + `). Launches are in the order of the program.
`

const pageSteps = `
Decoding steps of sequences of 1024 positions with a bf16 cache, sampled greedily. The bound is the sum of the launches' bounds. What is lost between launches is the gap before each; the last column but one is the kernel whose launches lose most beside it,
as a share of the step.
`

const pageGoals = `
Goals are those of the project for an 8B model. cuBLAS is taken to reach 80 % of the bf16 peak, FlashAttention-3 740 TFLOP/s.
`

// goal is one of the project's for a card with 4.8 TB/s and 989 TFLOP/s.
type goal struct {
	name, format, kernel string // kernel "": the whole step
	step                 int    // of DefaultCardSteps
	want                 float64
}

const (
	stepBatch1, stepBatch64, stepPrompt = 0, 2, 5
	cublas, flash                       = 0.80, 740.0 / 989.4
)

var pageGoalRows = []goal{
	{"decode, batch 1, share of the bandwidth", "bf16", "", stepBatch1, 0.85}, {"decode, batch 1, share of the bandwidth", "fp8", "", stepBatch1, 0.80},
	{"decode, batch 1, share of the bandwidth", "int4-g32", "", stepBatch1, 0.65},
	{"products of a prompt, 90 % of cuBLAS", "bf16", "cuda.linear_swiglu", stepPrompt, 0.90 * cublas},
	{"products of a prompt, 1400 TFLOP/s", "fp8", "cuda.linear_swiglu", stepPrompt, 1400.0 / 1978.9},
	{"products of a prompt, 90 % of cuBLAS", "int4-g32", "cuda.linear_swiglu", stepPrompt, 0.90 * cublas},
	{"attention of a prompt, 85 % of FlashAttention-3", "bf16", "cuda.attention", stepPrompt, 0.85 * flash},
	{"attention of a decoding step of 64, 85 % of what copies reach", "bf16", "cuda.attention", stepBatch64, 0.85 * 0.92},
}

// goals tells which are predicted to be reached.
func (p *page) goals() {
	p.head("goal", "format", "wanted", "predicted", "verdict", "limit")
	for _, g := range pageGoalRows {
		fraction, limit := p.reach(&g)
		verdict := "in reach"
		if fraction < g.want {
			verdict = "**short**"
		}
		p.row(g.name, g.format, percent(g.want)+" %", fmt.Sprintf("%.1f %%", 100*fraction), verdict, limit)
	}
	for _, n := range []int{0, 1, 2} {
		bf16, int4 := p.step8B("bf16", n), p.step8B("int4-g32", n)
		ratio, verdict := bf16.seconds/int4.seconds, "in reach"
		if ratio < 1 {
			verdict = "**short**"
		}
		p.row(fmt.Sprintf("int4 no slower than bf16, %s", dump.DefaultCardSteps[n].Name()), "int4-g32", "1.0x", fmt.Sprintf("%.1fx", ratio), verdict, "lost most in "+int4.worst())
	}
}

func (p *page) step8B(format string, step int) stepSum {
	return extended(sumOf(p.report("llama 8B", "h200", format, 2), step), sumOf(p.report("llama 8B", "h200", format, 3), step), 32)
}

func (p *page) reach(g *goal) (fraction float64, limit string) {
	if g.kernel == "" {
		s := p.step8B(g.format, g.step)
		return s.bound / s.seconds, fmt.Sprintf("%s %% between launches, %s", percent(s.gaps/s.seconds), s.worst())
	}
	for _, l := range p.report("llama 8B", "h200", g.format, 3).Launches {
		if l.Kernel == g.kernel {
			return l.Steps[g.step].Fraction, strings.TrimSpace(l.Steps[g.step].Limit)
		}
	}
	p.t.Errorf("no launch of %s", g.kernel)
	return 0, ""
}
