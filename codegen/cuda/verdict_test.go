//go:build !kit

package cuda_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/internal/golden"
)

// TestKernelsPage wants docs/kernels.md to say what is predicted now. Its file is compared behind that of TestTraffic, whose numbers it shows.
func TestKernelsPage(t *testing.T) {
	if os.Getenv("LLMC_LONG") == "" && !golden.Updating() {
		t.Skip("SKIPPED: the page of kernels takes the programs of all models; LLMC_LONG=1 writes it, as make test-long does")
	}
	p := &page{t: t, programs: map[string]*lowered{}, traffic: readTraffic(t)}
	p.text(pageHead)
	p.cards()
	p.text("\n## Launches of a Llama of 8B\n" + pageLaunches)
	for _, card := range pageCards {
		for _, format := range pageFormats {
			p.launches(card, format)
		}
	}
	p.text("\n## Steps\n" + pageSteps)
	for _, model := range pageModels {
		p.steps(model)
	}
	p.text("\n## Goals on an H200\n" + pageGoals)
	p.goals()
	golden.File(t, filepath.Join(golden.Root(t), "docs", "kernels.md"), []byte(p.out.String()))
}

// page is docs/kernels.md as it is written.
type page struct {
	t        *testing.T
	out      strings.Builder
	programs map[string]*lowered
	traffic  map[string][3]string // useful, conflicts, instructions, by target, format and kernel
}

var (
	pageCards   = []string{"a100", "l40s", "h200"}
	pageFormats = []string{"bf16", "fp8", "int4-g32"}
	pageModels  = []struct {
		name   string
		layers int
	}{{"llama 8B", 32}, {"llama 70B", 80}}
)

func (p *page) text(s string) { p.out.WriteString(s) }

func (p *page) row(cells ...string) { p.text("| " + strings.Join(cells, " | ") + " |\n") }

func (p *page) head(cells ...string) {
	p.text("\n")
	p.row(cells...)
	p.text("|" + strings.Repeat("---|", len(cells)) + "\n")
}

// program lowers a model once.
func (p *page) program(model, target, format string, layers int) *lowered {
	key := fmt.Sprint(model, target, format, layers)
	if p.programs[key] == nil {
		for _, m := range budgetModels {
			if m.name == model {
				p.programs[key] = lowerLayers(p.t, m.config, target, format, layers)
			}
		}
	}
	return p.programs[key]
}

func (p *page) report(model, card, format string, layers int) *dump.CardReport {
	return p.program(model, cardTarget(p.t, card), format, layers).on(p.t, card)
}

func cardTarget(t *testing.T, name string) string {
	t.Helper()
	card, err := engine.FindCard(name)
	check(t, err)
	return card.Target
}

func percent(x float64) string { return fmt.Sprintf("%.0f", 100*x) }

func (p *page) cards() {
	p.head("card", "code", "SMs", "GHz", "memory TB/s", "read", "L2 MB", "L2 TB/s", "shared KB/SM", "bf16 TFLOP/s", "fp8", "int8", "of the peak", "mma.sync", "latency µs", "gap µs", "early")
	for _, c := range engine.Cards {
		a := c.Assumed
		fp8 := "as bf16"
		if c.FP8 > 0 {
			fp8 = fmt.Sprintf("%.0f", c.FP8/1e12)
		}
		p.row(c.Name, c.Target, fmt.Sprint(c.SMs), fmt.Sprintf("%.2f", c.Clock/1e9), fmt.Sprintf("%.2f", c.ReadBytes/1e12), fmt.Sprintf("%.2f", a.ReadShare),
			fmt.Sprint(c.L2>>20), fmt.Sprintf("%.1f", c.L2Cycle*c.Clock/1e12), fmt.Sprint(c.SharedMemory>>10), fmt.Sprintf("%.0f", c.BF16/1e12), fp8,
			fmt.Sprintf("%.0f", c.Int8/1e12), fmt.Sprintf("%.2f", a.MathShare), fmt.Sprintf("%.2f", a.MmaSync), fmt.Sprintf("%.1f", a.Latency*1e6), fmt.Sprintf("%.1f", a.LaunchGap*1e6), fmt.Sprintf("%.2f", a.EarlyGap*1e6))
	}
}

// launches is the table of one card and format.
func (p *page) launches(card, format string) {
	target := cardTarget(p.t, card)
	l := p.program("llama 8B", target, format, 3)
	r := p.report("llama 8B", card, format, 3)
	p.text(fmt.Sprintf("\n### %s on %s (%s)\n", format, strings.ToUpper(card), target))
	cells := []string{"kernel"}
	for _, s := range r.Steps {
		cells = append(cells, s.Name())
	}
	p.head(append(cells, "CTAs/SM", "useful %", "conflicts", "instr/mma", "measured")...)
	seen := map[string]bool{}
	for _, launch := range r.Launches {
		name := l.name(launch.Label, launch.Kernel)
		if seen[name] {
			continue // of the last layer, whose rows are fewer
		}
		seen[name] = true
		p.launch(name, target, format, &launch)
	}
}

func (p *page) launch(name, target, format string, launch *dump.CardLaunch) {
	row := []string{name}
	var entries, perSM []string
	for i := range launch.Steps {
		c := &launch.Steps[i]
		if c.Entry == "" {
			row = append(row, "-")
			continue
		}
		row = append(row, percent(c.Fraction)+" "+c.Limit)
		if n := fmt.Sprint(c.PerSM); len(perSM) == 0 || perSM[len(perSM)-1] != n {
			perSM = append(perSM, n)
		}
		if n := len(entries); n == 0 || entries[n-1] != c.Entry {
			entries = append(entries, c.Entry)
		}
	}
	useful, conflicts, instructions := "-", "-", []string{}
	for _, e := range entries {
		if t, ok := p.traffic[trafficKey(target, format, launch.Kernel, e)]; ok {
			if useful == "-" || less(t[0], useful) {
				useful = t[0]
			}
			conflicts, instructions = t[1], append(instructions, t[2])
		}
	}
	if len(instructions) == 0 {
		instructions = []string{"-"}
	}
	p.row(append(row, strings.Join(perSM, ", "), useful, conflicts, strings.Join(instructions, ", "), "unproven")...)
}

func less(a, b string) bool {
	x, _ := strconv.ParseFloat(a, 64)
	y, _ := strconv.ParseFloat(b, 64)
	return x < y
}

// name tells launches of a kernel apart by the shapes of their weights.
func (l *lowered) name(label, kernel string) string {
	name := strings.TrimPrefix(kernel, "cuda.")
	for i := range l.program.Launches {
		launch := &l.program.Launches[i]
		if launch.Label != label || launch.Kernel != kernel {
			continue
		}
		if w := engine.FindKernel(kernel).Operand(launch, "w"); w.Kind == engine.OperandWeight {
			if e := l.source.Weight(l.program.Weights[w.Index]); e.K() > 0 {
				return fmt.Sprintf("%s %dx%d", name, e.N(), e.K())
			}
		}
		break
	}
	return name
}

var entryLimit = regexp.MustCompile(`_to_(\d+)$`)

// trafficKey is that of the entry's kernel in the golden of TestTraffic, whose small tiles end at 64 tokens.
func trafficKey(target, format, kernel, entry string) string {
	name := strings.TrimPrefix(kernel, "cuda.")
	if name == "attention" {
		return fmt.Sprintf("%s kv-bf16 %s", target, name)
	}
	if m := entryLimit.FindStringSubmatch(entry); m != nil {
		n, _ := strconv.Atoi(m[1])
		name += fmt.Sprintf("_to_%d", min(n, 64))
	}
	return fmt.Sprintf("%s %s %s", target, format, name)
}

func readTraffic(t *testing.T) map[string][3]string {
	t.Helper()
	data, err := os.ReadFile(trafficPath)
	check(t, err)
	all := map[string][3]string{}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 6 && f[0] != "#" {
			all[strings.Join(f[:3], " ")] = [3]string(f[3:])
		}
	}
	return all
}

// decodeSteps are those of DefaultCardSteps with a token of each sequence.
const decodeSteps = 4

// steps is the table of a model on all cards.
func (p *page) steps(model struct {
	name   string
	layers int
}) {
	p.text("\n### " + model.name + "\n")
	p.head("card", "format", "sequences", "launches of a step take", "tokens/s", "bound", "of it", "lost between launches", "lost most in", "fits")
	for _, card := range engine.Cards {
		for _, format := range pageFormats {
			two, three := p.report(model.name, card.Name, format, 2), p.report(model.name, card.Name, format, 3)
			for i := range decodeSteps {
				s := extended(sumOf(two, i), sumOf(three, i), model.layers)
				n := float64(two.Steps[i].Tokens)
				fits := "yes"
				if cards := math.Ceil(s.bytes / (0.95 * float64(card.Memory))); cards > 1 {
					fits = fmt.Sprintf("needs %.0f", cards)
				}
				p.row(card.Name, format, fmt.Sprintf("%.0f", n), fmt.Sprintf("%.2f ms", s.seconds*1e3), fmt.Sprintf("%.0f", n/s.seconds), fmt.Sprintf("%.0f", n/s.bound),
					percent(s.bound/s.seconds)+" %", percent(s.gaps/s.seconds)+" %", s.worst(), fits)
			}
		}
	}
}

// worst names the kernel that loses most, beside the gaps.
func (s *stepSum) worst() string {
	name, most := "-", 0.0
	for kernel, lost := range s.lost {
		if lost > most || lost == most && kernel < name {
			name, most = kernel, lost
		}
	}
	return fmt.Sprintf("%s, %s %%", strings.TrimPrefix(name, "cuda."), percent(most/s.seconds))
}
