package interp

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/golden"
	"llmc/internal/sym"
	"llmc/ir"
)

// tensors is a safetensors file read whole, enough for the goldens.
type tensors map[string][]float32

func (t tensors) Tensor(name string) ([]float32, error) {
	if data, ok := t[name]; ok {
		return data, nil
	}
	return nil, fmt.Errorf("no tensor %q", name)
}

func readSafetensors(t *testing.T, path string) tensors {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := binary.LittleEndian.Uint64(file)
	var header map[string]struct {
		DType   string `json:"dtype"`
		Offsets [2]int `json:"data_offsets"`
	}
	raw := map[string]json.RawMessage{}
	if err := json.Unmarshal(file[8:8+size], &raw); err != nil {
		t.Fatal(err)
	}
	delete(raw, "__metadata__")
	again, _ := json.Marshal(raw)
	if err := json.Unmarshal(again, &header); err != nil {
		t.Fatal(err)
	}
	out := tensors{}
	for name, h := range header {
		data := file[8+int(size)+h.Offsets[0] : 8+int(size)+h.Offsets[1]]
		var values []float32
		switch h.DType {
		case "F32":
			for i := 0; i < len(data); i += 4 {
				values = append(values, math.Float32frombits(binary.LittleEndian.Uint32(data[i:])))
			}
		case "BF16":
			for i := 0; i < len(data); i += 2 {
				values = append(values, dtype.BF16ToF32(binary.LittleEndian.Uint16(data[i:])))
			}
		default:
			t.Fatalf("%s: tensor %s is %s", path, name, h.DType)
		}
		out[name] = values
	}
	return out
}

// config is what the tested families have in common.
type config struct {
	Hidden       int     `json:"hidden_size"`
	Inner        int     `json:"intermediate_size"`
	Layers       int     `json:"num_hidden_layers"`
	Heads        int     `json:"num_attention_heads"`
	KVHeads      int     `json:"num_key_value_heads"`
	Dim          int     `json:"head_dim"`
	Vocab        int     `json:"vocab_size"`
	Eps          float64 `json:"rms_norm_eps"`
	Theta        float64 `json:"rope_theta"`
	Window       int     `json:"sliding_window"`
	MaxPositions int     `json:"max_position_embeddings"`
	OriginalMax  int     `json:"original_max_position_embeddings"`
	Scaling      *struct {
		Long  []float64 `json:"long_factor"`
		Short []float64 `json:"short_factor"`
	} `json:"rope_scaling"`
}

func (c *config) rope(b *ir.Builder) ir.Rope {
	half := c.Dim / 2
	plain := func(factors []float64) []float32 {
		freq := make([]float32, half)
		for i := range freq {
			f := 1.0
			if factors != nil {
				f = factors[i]
			}
			freq[i] = float32(1 / (f * math.Pow(c.Theta, 2*float64(i)/float64(c.Dim))))
		}
		return freq
	}
	if c.Scaling == nil {
		return ir.Rope{InvFreq: b.Constant("inv_freq", plain(nil), 1, half)}
	}
	both := append(plain(c.Scaling.Short), plain(c.Scaling.Long)...)
	ratio := math.Log(float64(c.MaxPositions)/float64(c.OriginalMax)) / math.Log(float64(c.OriginalMax))
	return ir.Rope{
		InvFreq: b.Constant("inv_freq", both, 2, half), Mode: "longrope", OriginalMax: c.OriginalMax, Factor: math.Sqrt(1 + ratio),
	}
}

// decoder builds a checkpoint's step from the tensors that it has: biases, q/k norms and fused projections where they exist.
type decoder struct {
	*ir.Builder
	c    config
	have tensors
	rope ir.Rope
	step ir.Step
}

func (d *decoder) optional(name string, dims ...int) *ir.Value {
	if d.have[name] == nil {
		return nil
	}
	return d.Weight(name, dtype.F32, dims...)
}

// project multiplies with the tensor name, or with rows [start, start+n) of the fused tensor where there is no such tensor.
func (d *decoder) project(x *ir.Value, prefix, name, fused string, start, n, k int) *ir.Value {
	full := prefix + name + ".weight"
	if d.have[full] != nil {
		return d.Linear(x, d.Weight(full, dtype.F32, n, k), d.optional(prefix+name+".bias", n))
	}
	w := ir.Weight{Recipe: ir.TensorRows(prefix+fused+".weight", int64(start), int64(n))}
	w.Name, w.Type = full, ir.F32(sym.Const(int64(n)), int64(k))
	return d.Linear(x, d.Declare(w), nil)
}

func (d *decoder) norm(x *ir.Value, name string) *ir.Value {
	return d.RMSNorm(x, d.Weight(name, dtype.F32, d.c.Hidden), d.c.Eps)
}

func (d *decoder) attention(x, kv *ir.Value, layer int) (y, next *ir.Value) {
	c, p := d.c, fmt.Sprintf("model.layers.%d.self_attn.", layer)
	qWidth, kvWidth := c.Heads*c.Dim, c.KVHeads*c.Dim
	q := d.project(x, p, "q_proj", "qkv_proj", 0, qWidth, c.Hidden)
	k := d.project(x, p, "k_proj", "qkv_proj", qWidth, kvWidth, c.Hidden)
	v := d.project(x, p, "v_proj", "qkv_proj", qWidth+kvWidth, kvWidth, c.Hidden)
	if w := d.optional(p+"q_norm.weight", c.Dim); w != nil {
		q = d.GroupRMSNorm(q, w, c.Eps, c.Dim)
		k = d.GroupRMSNorm(k, d.Weight(p+"k_norm.weight", dtype.F32, c.Dim), c.Eps, c.Dim)
	}
	q = d.Rope(q, d.step, d.rope, c.Heads, c.Dim)
	if d.rope.Static() {
		k = d.Rope(k, d.step, d.rope, c.KVHeads, c.Dim)
	}
	next = d.KVWrite(kv, k, v, layer)
	a := d.Attention(q, next, d.step, ir.Attention{
		Layer: layer, Heads: c.Heads, KVHeads: c.KVHeads, Dim: c.Dim, Scale: 1 / math.Sqrt(float64(c.Dim)), Window: c.Window, Rope: d.rope,
	})
	return d.project(a, p, "o_proj", "", 0, c.Hidden, qWidth), next
}

func (d *decoder) mlp(x *ir.Value, layer int) *ir.Value {
	c, p := d.c, fmt.Sprintf("model.layers.%d.mlp.", layer)
	gate := d.project(x, p, "gate_proj", "gate_up_proj", 0, c.Inner, c.Hidden)
	up := d.project(x, p, "up_proj", "gate_up_proj", c.Inner, c.Inner, c.Hidden)
	return d.project(d.Mul(d.SiLU(gate), up), p, "down_proj", "", 0, c.Hidden, c.Inner)
}

func buildDecoder(t *testing.T, c config, have tensors) *ir.Module {
	t.Helper()
	d := &decoder{Builder: ir.NewBuilder("golden"), c: c, have: have}
	cache := d.PagedCache("kv", c.Layers, c.KVHeads, c.Dim, dtype.F32)
	d.rope = c.rope(d.Builder)
	d.step = d.Step(cache)
	kv := d.step.Token
	embed := d.Weight("model.embed_tokens.weight", dtype.F32, c.Vocab, c.Hidden)
	x := d.Gather(embed, d.step.IDs)
	for i := range c.Layers {
		p := fmt.Sprintf("model.layers.%d.", i)
		var a *ir.Value
		a, kv = d.attention(d.norm(x, p+"input_layernorm.weight"), kv, i)
		x = d.Add(x, a)
		x = d.Add(x, d.mlp(d.norm(x, p+"post_attention_layernorm.weight"), i))
	}
	x = d.SelectRows(d.norm(x, "model.norm.weight"), d.step.Rows)
	head := d.optional("lm_head.weight", c.Vocab, c.Hidden)
	if head == nil {
		head = embed
	}
	d.Return(d.Linear(x, head, nil), kv)
	m, err := d.Module()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The interpreter reproduces the logits that transformers recorded, for every kind of rotary embedding, window,
// bias and norm that the importable families have.
func TestGoldenLogits(t *testing.T) {
	for _, name := range []string{"llama-gqa", "llama-tied", "mistral", "mistral-nemo", "qwen2", "qwen3", "phi3", "phi3-longrope"} {
		t.Run(name, func(t *testing.T) {
			dir := golden.Shared(t, "checkpoints", name)
			var c config
			readJSON(t, filepath.Join(dir, "config.json"), &c)
			if c.Dim == 0 {
				c.Dim = c.Hidden / c.Heads
			}
			var want struct {
				Prompts []struct {
					Name string  `json:"name"`
					IDs  []int32 `json:"ids"`
				} `json:"prompts"`
			}
			readJSON(t, filepath.Join(dir, "golden.json"), &want)
			logits := readSafetensors(t, filepath.Join(dir, "golden.safetensors"))
			have := readSafetensors(t, filepath.Join(dir, "model.safetensors"))
			machine := New(buildDecoder(t, c, have), have)
			for seq, p := range want.Prompts {
				var b Batch
				b.Add(seq, 0, len(p.IDs), p.IDs...)
				b.Sample()
				got, err := machine.Run("step", &b)
				if err != nil {
					t.Fatal(err)
				}
				compare(t, p.Name, got[0].Data, logits[p.Name+".logits"], 1e-5)
			}
		})
	}
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// compare wants every difference below tolerance times the range of want.
func compare(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	low, high, worst := math.Inf(1), math.Inf(-1), 0.0
	for i, w := range want {
		low, high = min(low, float64(w)), max(high, float64(w))
		worst = max(worst, math.Abs(float64(got[i]-w)))
		if got[i] != got[i] {
			t.Fatalf("%s: NaN", what)
		}
	}
	if worst > tolerance*(high-low) {
		t.Errorf("%s: differs by %.3g, %.2g of the range", what, worst, worst/(high-low))
	}
}
