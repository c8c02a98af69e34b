package plantest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler/hf"
	"llmc/compiler/lora"
	"llmc/engine"
)

// Module is a linear layer that an adapter changes.
type Module struct {
	Name          string // as PEFT names it, without its prefix
	In, Out, Rank int
}

// DemoModules are linear layers of the bundled model, by the ends of their names.
func DemoModules(rank int, kinds ...string) []Module {
	const layers, hidden, kv, inner = 4, 256, 64, 640
	sizes := map[string][2]int{
		"self_attn.q_proj": {hidden, hidden}, "self_attn.k_proj": {hidden, kv}, "self_attn.v_proj": {hidden, kv}, "self_attn.o_proj": {hidden, hidden},
		"mlp.gate_proj": {hidden, inner}, "mlp.up_proj": {hidden, inner}, "mlp.down_proj": {inner, hidden},
	}
	var all []Module
	for layer := range layers {
		for _, kind := range kinds {
			all = append(all, Module{fmt.Sprintf("model.layers.%d.%s", layer, kind), sizes[kind][0], sizes[kind][1], rank})
		}
	}
	return all
}

// LinearModules are the linear layers of a checkpoint whose names have one of the ends. Where weights are stored [in, out], square ones are left out:
// merging can not tell which way round they are.
func LinearModules(t testing.TB, dir string, transposed bool, rank int, ends ...string) []Module {
	t.Helper()
	c, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var modules []Module
	for _, name := range c.Names() {
		module, ok := strings.CutSuffix(name, ".weight")
		for _, end := range ends {
			if shape := c.Lookup(name).Shape; ok && strings.HasSuffix(module, end) && len(shape) == 2 {
				m := Module{Name: module, Out: int(shape[0]), In: int(shape[1]), Rank: rank}
				if transposed {
					m.Out, m.In = m.In, m.Out
				}
				if !transposed || m.Out != m.In {
					modules = append(modules, m)
				}
			}
		}
	}
	if len(modules) == 0 {
		t.Fatalf("%s has no weights that end as %v", dir, ends)
	}
	return modules
}

// AllLinear are the layers that adapters usually change.
var AllLinear = []string{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}

// AdapterDir writes an adapter of made-up numbers in PEFT's layout into a new directory. config is added to its configuration, whose rank is that of the
// first module.
func AdapterDir(t testing.TB, seed uint64, modules []Module, config map[string]any) string {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	type entry struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	header, data := map[string]entry{}, []byte(nil)
	add := func(name string, rows, cols int, size float64) {
		begin := int64(len(data))
		for range rows * cols {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(size*r.NormFloat64())))
		}
		header[name] = entry{"F32", []int{rows, cols}, [2]int64{begin, int64(len(data))}}
	}
	for _, m := range modules {
		name := "base_model.model." + m.Name
		add(name+".lora_A.weight", m.Rank, m.In, 1/math.Sqrt(float64(m.In)))
		add(name+".lora_B.weight", m.Out, m.Rank, 0.5/math.Sqrt(float64(m.Rank)))
	}
	all := map[string]any{"peft_type": "LORA", "r": modules[0].Rank, "lora_alpha": modules[0].Rank}
	maps.Copy(all, config)
	dir := t.TempDir()
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	configText, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"adapter_config.json": configText, "adapter_model.safetensors": append(file, data...)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Adapter makes the plan of an adapter for a model's plan and opens it for the time of the test.
func Adapter(t testing.TB, base *engine.Plan, dir string) *engine.Plan {
	t.Helper()
	out := filepath.Join(t.TempDir(), "adapter.plan")
	if _, err := lora.Build(t.Context(), lora.Options{Dir: dir, Base: base, Out: out}); err != nil {
		t.Fatal(err)
	}
	plan, err := engine.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plan.Close() })
	return plan
}
