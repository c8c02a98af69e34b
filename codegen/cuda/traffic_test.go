//go:build !kit

package cuda_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"llmc/compiler/predict"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/internal/golden"
	"llmc/ir/interp"
	"llmc/runtime/device/emu"
)

// trafficPath lists what kernels do of every format on the emulator: target, format, kernel, bytes that a stream holds in those of the sectors that are
// fetched for it (percent), conflicts of banks in the loops that multiply and copy, instructions of the main loop for each matrix instruction.
// UPDATE=1 rewrites the rows of the cases that run, LLMC_LONG=1 runs all.
const trafficPath = "testdata/traffic.txt"

// leastUseful is what a stream's sectors must hold.
const leastUseful = 0.95

// trafficCases are those of formats of weights, and of KV caches.
var trafficCases = []trafficCase{
	{"bf16", dtype.BF16, []string{"sm80", "sm90"}, ""}, {"fp8", dtype.BF16, []string{"sm90"}, ""}, {"int4-g32", dtype.BF16, []string{"sm80"}, ""},
	{"int4-g128", dtype.BF16, nil, ""}, {"int4-g64-zp", dtype.BF16, nil, "cp.async"}, {"int8", dtype.BF16, nil, ""}, {"int8-w8a8", dtype.BF16, nil, ""},
	{"fp8-block", dtype.BF16, nil, ""}, {"bf16", dtype.I8, nil, ""}, {"bf16", dtype.F8E4M3, nil, ""}, {"bf16", dtype.U4, nil, ""},
}

type trafficCase struct {
	format  string
	kv      dtype.Type
	targets []string // run always; others with LLMC_LONG
	// pass is an instruction of copies that may take a further pass over the banks: one that brings scales and zero points of a panel at once, which lie in
	// the same banks. "": none may.
	pass string
}

// trafficConfig is a model whose tiles are full, on a card of one multiprocessor so that CTAs are the largest.
const trafficConfig = `{"model_type":"llama","hidden_size":512,"intermediate_size":512,"num_attention_heads":4,"num_key_value_heads":1,"head_dim":128,"vocab_size":128`

// TestTraffic wants streams to be read once and in whole sectors, main loops without conflicts of banks, and the numbers of the golden.
func TestTraffic(t *testing.T) {
	got := map[string]string{}
	for i := range trafficCases {
		c := &trafficCases[i]
		for _, target := range budgetTargets {
			if thorough() || slices.Contains(c.targets, target) {
				t.Run(fmt.Sprintf("%s/kv-%v/%s", c.format, c.kv, target), func(t *testing.T) { c.run(t, target, got) })
			}
		}
	}
	compareTraffic(t, got)
}

// run counts steps of all sizes that have entries of their own, and puts the rows of the golden into got.
func (c *trafficCase) run(t *testing.T, target string, got map[string]string) {
	const vocab = 128
	m := importConfig(t, trafficConfig, c.kv)
	weights, err := interp.NewRandomWeights(m, 5)
	check(t, err)
	plan := compileOn(t, m, weights, ofCores(t, target, 1), c.format, vocab)
	r := newTrafficRun(t, plan, target)
	r.step(vocab, 67, 66)
	r.step(vocab, 33, 33)
	c.rows(t, r, target, got)
	if thorough() && target == "sm90" {
		r = newTrafficRun(t, plan, target)
		r.step(vocab, 20, 20)
		r.step(vocab, 12, 12)
		c.rows(t, r, target, got)
	}
}

// rows judges what a run counted, and adds the rows that are not there.
func (c *trafficCase) rows(t *testing.T, r *trafficRun, target string, got map[string]string) {
	t.Helper()
	for _, name := range r.order {
		e := r.entries[name]
		key := fmt.Sprintf("%-5s %-11s %s", target, c.format, name)
		if strings.HasPrefix(name, "attention") {
			if c.format != "bf16" {
				continue
			}
			key = fmt.Sprintf("%-5s %-11s %s", target, "kv-"+c.kv.String(), name)
		}
		if useful := float64(e.useful) / float64(e.read); !(useful >= leastUseful && useful <= 1) {
			t.Errorf("%s: %d bytes in sectors of %d", key, e.useful, e.read)
		}
		for _, line := range e.conflicting {
			if c.pass == "" || !strings.HasPrefix(line.Inst, c.pass) {
				t.Errorf("%s: %d conflicts of banks in %d times %s", key, line.Conflicts, line.Count, line.Inst)
			}
		}
		if _, there := got[key]; there {
			continue // of steps of other sizes
		}
		got[key] = fmt.Sprintf("%5.1f %d %6.2f", 100*float64(e.useful)/float64(e.read), e.conflicts, float64(e.instructions)/float64(e.products))
	}
}

// alike compares rows. Which sectors meet in a place of the cache depends on where buffers lie, so that useful bytes may differ by a percent.
func alike(a, b string) bool {
	var useful [2]float64
	var rest [2]string
	for i, row := range []string{a, b} {
		f := strings.Fields(row)
		if len(f) != 3 {
			return false
		}
		useful[i], _ = strconv.ParseFloat(f[0], 64)
		rest[i] = f[1] + " " + f[2]
	}
	return rest[0] == rest[1] && math.Abs(useful[0]-useful[1]) <= 1
}

// compareTraffic wants the rows of the file for the cases that ran.
func compareTraffic(t *testing.T, got map[string]string) {
	t.Helper()
	const head = "# target, format, kernel and its largest step, useful percent of the stream, conflicts of banks, instructions for each matrix instruction\n"
	all := map[string]string{}
	data, err := os.ReadFile(trafficPath)
	if err != nil && !golden.Updating() {
		t.Fatalf("%v (UPDATE=1 writes it)", err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 6 && f[0] != "#" {
			all[fmt.Sprintf("%-5s %-11s %s", f[0], f[1], f[2])] = fmt.Sprintf("%5s %s %6s", f[3], f[4], f[5])
		}
	}
	for key, row := range got {
		if !golden.Updating() && !alike(row, all[key]) {
			t.Errorf("%s: %s, %s says %q (UPDATE=1 records it)", key, row, trafficPath, all[key])
		}
		all[key] = row
	}
	if !golden.Updating() {
		return
	}
	var rows []string
	for key, row := range all {
		rows = append(rows, fmt.Sprintf("%-50s %s\n", key, row))
	}
	slices.Sort(rows)
	check(t, os.WriteFile(trafficPath, []byte(head+strings.Join(rows, "")), 0o644))
}

// traffic is what launches of one kernel did on the emulator.
type traffic struct {
	useful, read           uint64 // bytes that a stream holds, and those of the sectors that were fetched of it
	conflicts              uint64 // in loops that multiply or copy
	conflicting            []emu.LineCount
	instructions, products uint64 // of the main loop, and those of them that multiply matrices
}

// entryLines are those of an entry's loops, in the module: those that multiply or copy, and the main loop.
type entryLines struct {
	busy []predict.Lines
	loop predict.Lines
}

// trafficRun follows one plan.
type trafficRun struct {
	t       *testing.T
	plan    *engine.Plan
	program *engine.Program
	places  map[string]entryLines
	entries map[string]*traffic // by kernel
	order   []string
	tokens  int64 // of the step
	context int64 // behind it
}

func newTrafficRun(t *testing.T, plan *engine.Plan, target string) *trafficRun {
	t.Helper()
	program, err := plan.Program("step", target)
	check(t, err)
	r := &trafficRun{t: t, plan: plan, program: program, places: map[string]entryLines{}, entries: map[string]*traffic{}}
	section, err := plan.Section(engine.KindPTX, target)
	check(t, err)
	text := string(section)
	starts := entryStarts(text)
	for i, from := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		body := text[from:end]
		name, _, _ := strings.Cut(strings.TrimPrefix(body, ".visible .entry "), "(")
		facts, first := predict.Read(body), strings.Count(text[:from], "\n")+1
		var e entryLines
		for _, l := range facts.Busy {
			e.busy = append(e.busy, predict.Lines{First: first + l.First, Last: first + l.Last})
		}
		if facts.Loop != nil {
			e.loop = predict.Lines{First: first + facts.Loop.First, Last: first + facts.Loop.Last}
		}
		r.places[name] = e
	}
	return r
}

func entryStarts(text string) (starts []int) {
	for at := 0; ; {
		next := strings.Index(text[at:], ".visible .entry ")
		if next < 0 {
			return starts
		}
		starts = append(starts, at+next)
		at += next + 1
	}
}

// step runs a sequence in steps of n tokens, of which one row is sampled.
func (r *trafficRun) step(vocab, tokens, n int) {
	r.t.Helper()
	r.context = 0
	device := emu.Device{Options: emu.Options{Counts: true}, Counted: r.counted}
	model, err := device.Load(r.plan, engine.Settings{MaxStepTokens: n, MaxSequences: 1, MaxRows: 1, MaxContext: max(16, tokens)})
	check(r.t, err)
	defer model.Close()
	check(r.t, engine.Forward(model, vocab, sequence(tokens, vocab), func(p int) bool { return p == tokens-1 }, func(int, []float32) error { return nil }))
}

// counted takes in a launch of a kernel that multiplies.
func (r *trafficRun) counted(entry string, grid [3]uint32, c *emu.Counts) {
	at := slices.IndexFunc(r.program.Launches, func(l engine.Launch) bool {
		return slices.ContainsFunc(l.Code, func(c engine.Code) bool { return c.Entry == entry })
	})
	if at < 0 {
		return // copies of pages
	}
	l := &r.program.Launches[at]
	if l.Kernel == "cuda.gather" {
		r.tokens = int64(grid[0])
		r.context += r.tokens
	}
	place := r.places[entry]
	if place.loop.Last == 0 {
		return
	}
	name := kernelOf(l, entry)
	e := r.entries[name]
	if e == nil {
		e = &traffic{}
		r.entries[name], r.order = e, append(r.order, name)
	}
	s := r.stream(l, entry)
	e.useful += s.bytes
	for i, line := range c.Lines {
		if s.has(line.Buffer) {
			e.read += 32 * line.SectorsFetched
		}
		inside := func(l predict.Lines) bool { return l.First <= line.Line && line.Line <= l.Last }
		if slices.ContainsFunc(place.busy, inside) {
			if e.conflicts += line.Conflicts; line.Conflicts > 0 {
				e.conflicting = append(e.conflicting, line)
			}
		}
		if inside(place.loop) {
			e.instructions += line.Count - retries(c.Lines, i)
			if strings.HasPrefix(line.Inst, "mma.") || strings.HasPrefix(line.Inst, "wgmma.mma_async") {
				e.products += line.Count
			}
		}
	}
}

// retries is how often an instruction of a wait was executed in vain: a wait for a barrier and the branch back to it are followed by what is executed once
// it is over. How often that is depends on what other warps do meanwhile.
func retries(lines []emu.LineCount, i int) uint64 {
	for wait := i; wait >= i-1 && wait >= 0; wait-- {
		if strings.HasPrefix(lines[wait].Inst, "mbarrier.try_wait") && wait+2 < len(lines) {
			return lines[i].Count - min(lines[i].Count, lines[wait+2].Count)
		}
	}
	return 0
}

// kernelOf names an entry by its kernel and by the largest step that it serves.
func kernelOf(l *engine.Launch, entry string) string {
	name := strings.TrimPrefix(l.Kernel, "cuda.")
	if i := strings.Index(entry, "_to_"); i >= 0 {
		name += entry[i:]
	}
	return name
}

// stream is what an entry reads in long runs: how many bytes that is, and which buffers.
type stream struct {
	bytes uint64
	has   func(buffer string) bool
}

// stream is the weight of a product, once for each row of tiles, or what items of attention see of the cache.
func (r *trafficRun) stream(l *engine.Launch, entry string) stream {
	kernel := engine.FindKernel(l.Kernel)
	if l.Kernel == "cuda.attention" {
		bytes, err := r.program.LayerBytes(kernel.Operand(l, "cache").Index, 16)
		check(r.t, err)
		block, seen := l.Int("block", 0), int64(0)
		for first := int64(0); first < r.tokens; first += block {
			seen += r.context - r.tokens + min(first+block, r.tokens)
		}
		return stream{uint64(bytes / 16 * seen), func(buffer string) bool { return buffer == "KV pages" }}
	}
	names := map[string]bool{}
	for i := range r.program.Launches {
		if other := &r.program.Launches[i]; other.Kernel == l.Kernel {
			names[r.program.Weights[kernel.Operand(other, "w").Index]] = true
		}
	}
	weight, _, err := r.plan.Weight(r.program.Weights[kernel.Operand(l, "w").Index])
	check(r.t, err)
	return stream{uint64(weight.Bytes * r.rows(l, entry)), func(buffer string) bool { return names[buffer] }}
}

// rows is how many rows of tiles a launch has.
func (r *trafficRun) rows(l *engine.Launch, entry string) int64 {
	rows, err := r.program.Buffers[engine.FindKernel(l.Kernel).Operand(l, "x").Index].Rows.Eval([4]int64{r.tokens, 1, 1, r.context})
	check(r.t, err)
	tile := int64(1)
	for _, c := range l.Code {
		for _, e := range c.Grid {
			if _, fixed := e.Of.IsConst(); c.Entry == entry && !fixed {
				tile = max(tile, e.Per)
			}
		}
	}
	return (rows + tile - 1) / tile
}
