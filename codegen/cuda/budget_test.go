//go:build !kit

package cuda_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"llmc/codegen"
	"llmc/codegen/cuda"
	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/golden"
	"llmc/internal/ptxas"
	"llmc/ir"
	"llmc/passes"
)

// budgetModels are shapes that entries are written for, of two layers each; entries do not depend on the number of layers.
var budgetModels = []struct {
	name, config string
	formats      []string
}{
	{"llama 8B", `{"model_type":"llama","hidden_size":4096,"intermediate_size":14336,"num_attention_heads":32,"num_key_value_heads":8,"vocab_size":128256,"rope_theta":500000.0`,
		[]string{"bf16", "int8", "int8-w8a8", "fp8", "fp8-block", "int4-g32", "int4-g64", "int4-g128", "int4-g32-zp", "int4-g64-zp", "int4-g128-zp"}},
	{"llama 70B", `{"model_type":"llama","hidden_size":8192,"intermediate_size":28672,"num_attention_heads":64,"num_key_value_heads":8,"vocab_size":128256,"rope_theta":500000.0`,
		[]string{"bf16", "fp8", "int4-g32"}},
	{"llama 135M", `{"model_type":"llama","hidden_size":576,"intermediate_size":1536,"num_attention_heads":9,"num_key_value_heads":3,"vocab_size":49152,"tie_word_embeddings":true`,
		[]string{"bf16", "f16", "int8", "int8-w8a8", "fp8", "fp8-block", "int4-g32", "int4-g64-zp"}},
	{"mistral 7B", `{"model_type":"mistral","hidden_size":4096,"intermediate_size":14336,"num_attention_heads":32,"num_key_value_heads":8,"vocab_size":32000,"sliding_window":4096`,
		[]string{"bf16"}},
	{"qwen2 0.5B", `{"model_type":"qwen2","hidden_size":896,"intermediate_size":4864,"num_attention_heads":14,"num_key_value_heads":2,"vocab_size":151936,"tie_word_embeddings":true`,
		[]string{"bf16", "int8", "int4-g32", "int4-g128"}},
	{"qwen3 0.6B", `{"model_type":"qwen3","hidden_size":1024,"intermediate_size":3072,"num_attention_heads":16,"num_key_value_heads":8,"head_dim":128,"vocab_size":151936,"tie_word_embeddings":true`,
		[]string{"bf16", "int8", "int4-g64"}},
	{"llama 8B, frequencies that depend on the length", `{"model_type":"llama","hidden_size":4096,"intermediate_size":14336,"num_attention_heads":32,"num_key_value_heads":8,"vocab_size":128256,"rope_scaling":{"rope_type":"dynamic","factor":4.0}`,
		[]string{"bf16"}},
	{"olmo2 7B", `{"model_type":"olmo2","hidden_size":4096,"intermediate_size":11008,"num_attention_heads":32,"num_key_value_heads":32,"vocab_size":100352,"rope_theta":500000.0`,
		[]string{"bf16"}},
	{"odd sizes", `{"model_type":"llama","hidden_size":72,"intermediate_size":100,"num_attention_heads":3,"num_key_value_heads":1,"head_dim":24,"vocab_size":301`,
		[]string{"bf16", "int8", "int4-g32"}},
}

// budgetAdapted are a model and the formats whose entries for steps with adapters are assembled.
var budgetAdapted = struct {
	name    string
	formats []string
}{"llama 8B", []string{"bf16"}}

var budgetTargets = []string{"sm80", "sm89", "sm90"}

// budgetPath lists what entries may take: target, release of ptxas, kernel, class of shapes, registers of a thread and declared shared
// memory of a CTA in bytes, each the most of the class. UPDATE=1 rewrites the rows of the installed releases.
const budgetPath = "testdata/budget.txt"

// entry is one of those of a target, under a name of its own.
type entry struct {
	name, text string
	head       string // of its module, which names the PTX version
	class      string // that it counts for
}

// entriesOf are the distinct entries of one target.
type entriesOf struct {
	arch string // as ptxas calls it
	list []entry
	seen map[string]bool
}

// every tells whether all entries are assembled. Else it is the longest of each class, since sizes of matrices are all that those of a class differ in.
func every() bool { return os.Getenv("LLMC_LONG") == "all" || golden.Updating() }

// chosen leaves the entries that are assembled.
func (all *entriesOf) chosen() *entriesOf {
	if every() {
		return all
	}
	longest := map[[2]string]entry{} // by class and, since an assembler may not read them all, version
	for _, e := range all.list {
		key := [2]string{e.class, e.head}
		if have, ok := longest[key]; !ok || len(e.text) > len(have.text) {
			longest[key] = e
		}
	}
	return &entriesOf{arch: all.arch, list: slices.SortedFunc(maps.Values(longest), func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.head, b.head))
	})}
}

// moduleEntries bounds the entries of a module, so that modules take their time side by side.
const moduleEntries = 64

// modules are the texts that a release of ptxas reads, each of one PTX version.
func (all *entriesOf) modules(t *testing.T, a ptxas.Assembler) (texts []string) {
	t.Helper()
	byHead := map[string][]string{}
	for _, e := range all.list {
		if e.version(t) <= a.Version {
			byHead[e.head] = append(byHead[e.head], e.text)
		}
	}
	for _, head := range slices.Sorted(maps.Keys(byHead)) {
		for part := range slices.Chunk(byHead[head], moduleEntries) {
			texts = append(texts, head+strings.Join(part, ""))
		}
	}
	return texts
}

// classes are those of entries, by name.
func (all *entriesOf) classes() map[string]string {
	classes := map[string]string{}
	for _, e := range all.list {
		classes[e.name] = e.class
	}
	return classes
}

// TestAssembleModels assembles entries of the models for every target, of each class the longest by one release, with LLMC_LONG=all every distinct one by all: no warning, no
// spills, no stack, and no more registers and shared memory than the budget says. Where all are assembled less is an error too: the budget is what
// reviewers see.
func TestAssembleModels(t *testing.T) {
	t.Parallel()
	assemblers := ptxas.Find(t)
	got := usages{most: map[string][2]int{}}
	t.Run("targets", func(t *testing.T) { // which ends when all of them have
		for _, target := range budgetTargets {
			all := collect(t, target)
			chosen := all.chosen()
			classes := chosen.classes()
			t.Logf("%s: %d of %d entries", target, len(chosen.list), len(all.list))
			for n, a := range assemblers {
				for i, text := range chosen.of(t, target, n, assemblers).modules(t, a) {
					t.Run(fmt.Sprintf("%s/%s/%d", target, a.Release, i), func(t *testing.T) {
						t.Parallel()
						for _, u := range a.Assemble(t, text, chosen.arch) {
							class := classes[u.Entry]
							if u.Spills != 0 || u.Stack != 0 {
								t.Errorf("%s (%s) spills %d bytes and has a stack of %d", class, u.Entry, u.Spills, u.Stack)
							}
							got.add(fmt.Sprintf("%s %s %s", target, a.Release, class), u)
						}
					})
				}
			}
		}
	})
	compareBudget(t, assemblers, got.most)
}

// usages are registers and bytes of shared memory, the most by target, release and class.
type usages struct {
	mu   sync.Mutex
	most map[string][2]int
}

func (s *usages) add(key string, u ptxas.Usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := s.most[key]
	s.most[key] = [2]int{max(most[0], u.Registers), max(most[1], u.Shared)}
}

// collect writes the programs of all models, or of those named, for a target.
func collect(t *testing.T, target string, only ...string) *entriesOf {
	t.Helper()
	gpu := gpuTarget(t, target)
	all := &entriesOf{arch: gpu.PTX.Name, seen: map[string]bool{}}
	for _, model := range budgetModels {
		if len(only) > 0 && !slices.Contains(only, model.name) {
			continue
		}
		for _, kv := range layout.PlainTypes {
			imported := importConfig(t, model.config, kv)
			for _, format := range model.formats {
				if kv == dtype.BF16 || format == model.formats[0] {
					all.lower(t, gpu, model.name, imported.Clone(), format, kv == dtype.BF16 && model.name == budgetAdapted.name && slices.Contains(budgetAdapted.formats, format))
				}
			}
		}
	}
	for _, network := range budgetNetworks {
		for _, format := range network.formats {
			all.lower(t, gpu, network.name, network.build(t), format, false)
		}
	}
	return all
}

// lower takes in the entries of a module's program, those for steps with adapters too where it is to have some.
func (all *entriesOf) lower(t *testing.T, gpu cuda.Target, name string, m *ir.Module, format string, adapters bool) {
	t.Helper()
	if _, err := passes.Run(m, passes.Options{Target: gpu, Policy: passes.Policy{Linear: format}}); err != nil {
		t.Fatalf("%s, %s: %v", name, format, err)
	}
	coder := cuda.NewCoder(gpu)
	if adapters {
		coder.ServeAdapters()
	}
	program, err := codegen.Emit(m, m.Funcs[0], gpu.Name(), coder)
	check(t, err)
	text, err := coder.Text()
	check(t, err)
	all.add(m, program, dump.NewPTX(gpu.Name(), text))
}

// add takes in the entries that no model before had. An entry's name is in its labels and parameters too.
func (all *entriesOf) add(m *ir.Module, program *engine.Program, code *dump.PTX) {
	for _, e := range code.Entries {
		const placeholder = "\x00"
		body := strings.ReplaceAll(e.Text, e.Name, placeholder)
		if all.seen[body] {
			continue
		}
		all.seen[body] = true
		name := fmt.Sprintf("entry_%d", len(all.seen))
		all.list = append(all.list, entry{name: name, text: strings.ReplaceAll(body, placeholder, name), head: code.Head, class: classOf(m, program, e.Name)})
	}
}

// classOf names the kernel of an entry and what its code depends on most: the layout of its matrix, the shape of heads, or the types of activations.
func classOf(m *ir.Module, program *engine.Program, entry string) string {
	at := slices.IndexFunc(program.Launches, func(l engine.Launch) bool {
		return slices.ContainsFunc(l.Code, func(c engine.Code) bool { return c.Entry == entry })
	})
	adapted, kind := adaptedEntry(program, entry)
	switch {
	case at < 0 && adapted == nil:
		return entry // of no launch: an auxiliary one
	case at < 0 && kind == "":
		return "adapter_down," + rankInput(program, &program.Launches[adapted.Launch])
	case at < 0:
		at = adapted.Launch
	}
	l := &program.Launches[at]
	class, codes := []string{kind + strings.TrimPrefix(l.Kernel, "cuda.")}, l.Code
	if kind != "" {
		codes = adapted.Code
	}
	for _, c := range codes {
		if c.Entry == entry && c.Limit.Max != 0 && c.Entry != codes[len(codes)-1].Entry {
			class[0] += fmt.Sprintf("_to_%d", min(c.Limit.Max, 64)) // those of larger steps have the same tiles
		}
	}
	if act := l.Text("act", "silu"); act != "silu" {
		class[0] += "_" + act
	}
	if k := l.Int("top_k", 0); k > 0 {
		class = append(class, fmt.Sprintf("%d/%d", k, program.Buffers[l.Operands[0].Index].Cols))
	}
	if heads, rank := l.Int("heads", 0), l.Int("rank", 0); rank > 0 {
		class = append(class, fmt.Sprintf("%d/%d", heads, rank))
	} else if heads > 0 {
		class = append(class, fmt.Sprintf("%d/%dx%d", heads, l.Int("kv_heads", 0), l.Int("dim", 0)))
	}
	for i, role := range engine.FindKernel(l.Kernel).Roles {
		switch o := l.Operands[i]; {
		case o.Kind == engine.OperandWeight && role.Packed():
			w := slices.IndexFunc(m.Weights, func(w *ir.Weight) bool { return w.Name == program.Weights[o.Index] })
			class = append(class, m.Weights[w].Type.Layout)
		case o.Kind == engine.OperandWeight && role.Optional:
			class = append(class, role.Name)
		case o.Kind == engine.OperandCache && program.Caches[o.Index].DType != dtype.BF16:
			class = append(class, "kv-"+program.Caches[o.Index].DType.String())
		case o.Kind == engine.OperandBuffer && role.Writes:
			class = append(class, program.Buffers[o.Index].TypeName())
		}
	}
	return strings.Join(class, ",")
}

// adaptedEntry finds what an entry is for in steps with adapters: kind is "" for one that computes ranks, nil is for none.
func adaptedEntry(program *engine.Program, entry string) (a *engine.Adapted, kind string) {
	for i := range program.Adapted {
		a := &program.Adapted[i]
		if a.Down.Entry == entry {
			return a, ""
		}
		if slices.ContainsFunc(a.Code, func(c engine.Code) bool { return c.Entry == entry }) {
			return a, "adapted_"
		}
	}
	return nil, ""
}

// rankInput is the type of what ranks are computed of.
func rankInput(program *engine.Program, l *engine.Launch) string {
	kernel := engine.FindKernel(l.Kernel)
	x := kernel.Operand(l, "raw")
	if x.Kind == engine.OperandNone {
		x = kernel.Operand(l, "x")
	}
	return program.Buffers[x.Index].TypeName()
}

// compareBudget wants the rows of the installed releases to be those of the file.
func compareBudget(t *testing.T, assemblers []ptxas.Assembler, got map[string][2]int) {
	t.Helper()
	installed := map[string]bool{}
	for _, a := range assemblers {
		installed[a.Release] = true
	}
	var old []byte
	if data, err := os.ReadFile(budgetPath); err == nil {
		old = data
	} else if !golden.Updating() {
		t.Fatalf("%v (UPDATE=1 writes it)", err)
	}
	var rows [][]string
	for line := range strings.Lines(string(old)) {
		row := strings.Fields(line)
		if len(row) != 5 || strings.HasPrefix(line, "#") {
			continue
		}
		if !installed[row[1]] {
			rows = append(rows, row)
			continue
		}
		key := strings.Join(row[:3], " ")
		if golden.Updating() {
			continue
		}
		if _, ok := got[key]; !ok && assemblers[turnOf(row[0], row[2], len(assemblers))].Release != row[1] && !every() {
			continue
		}
		if fault := overBudget(got, key, row[3], row[4]); fault != "" {
			t.Errorf("%s: %s, the budget says %s registers and %s bytes (UPDATE=1 records it)", key, fault, row[3], row[4])
		}
		delete(got, key)
	}
	if !golden.Updating() {
		// What is left has no row. Releases that nobody has recorded are not compared, nor entries for adapters as long as none of these has been.
		unrecorded := !strings.Contains(string(old), " adapted_")
		for key := range got {
			if unrecorded && strings.HasPrefix(strings.Fields(key)[2], "adapt") {
				t.Logf("%s: %v, of which %s has nothing yet (UPDATE=1 adds it)", key, got[key], budgetPath)
			} else if strings.Contains(string(old), " "+strings.Fields(key)[1]+" ") {
				t.Errorf("%s is not in %s (UPDATE=1 adds it)", key, budgetPath)
			}
		}
		return
	}
	for key, n := range got {
		rows = append(rows, append(strings.Fields(key), fmt.Sprint(n[0]), fmt.Sprint(n[1])))
	}
	writeBudget(t, rows)
}

// overBudget says what a class takes where that is not as the budget has it.
func overBudget(got map[string][2]int, key, registers, bytes string) string {
	now, ok := got[key]
	if !ok {
		return "no entry"
	}
	most, _ := strconv.Atoi(registers)
	shared, _ := strconv.Atoi(bytes)
	if now == [2]int{most, shared} || !every() && now[0] <= most && now[1] <= shared {
		return ""
	}
	return fmt.Sprintf("%d registers and %d bytes", now[0], now[1])
}

func writeBudget(t *testing.T, rows [][]string) {
	t.Helper()
	slices.SortFunc(rows, func(a, b []string) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[2], b[2]), cmp.Compare(a[1], b[1]))
	})
	var out strings.Builder
	out.WriteString("# target, release of ptxas, kernel and class of shapes, registers, bytes of shared memory: the most of each class\n")
	for _, row := range rows {
		fmt.Fprintf(&out, "%-5s %-5s %-50s %4s %6s\n", row[0], row[1], row[2], row[3], row[4])
	}
	check(t, os.WriteFile(budgetPath, []byte(out.String()), 0o644))
}
