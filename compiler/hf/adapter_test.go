package hf

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// matrix is a tensor of a test.
type matrix struct {
	rows, cols int64
	data       []float32
}

func newMatrix(r *rand.Rand, rows, cols int64) matrix {
	m := matrix{rows, cols, make([]float32, rows*cols)}
	for i := range m.data {
		m.data[i] = float32(r.NormFloat64())
	}
	return m
}

// tensorFile returns a safetensors file of f32 matrices.
func tensorFile(t testing.TB, tensors map[string]matrix) string {
	t.Helper()
	entries := map[string]entry{}
	var data []byte
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		m := tensors[name]
		begin := int64(len(data))
		for _, x := range m.data {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
		entries[name] = entry{"F32", []int64{m.rows, m.cols}, [2]int64{begin, int64(len(data))}}
	}
	return string(fileOf(headerOf(t, entries), 0)) + string(data)
}

const (
	loraName = "base_model.model.model.layers.0.x_proj"
	baseName = "model.layers.0.x_proj.weight"
)

// lora is an adapter's directory.
func lora(t testing.TB, config map[string]any, tensors map[string]matrix) string {
	t.Helper()
	all := map[string]any{"peft_type": "LORA", "r": 4, "lora_alpha": 6}
	maps.Copy(all, config)
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return directory(t, map[string]string{AdapterConfigFile: string(text), AdapterWeightsFile: tensorFile(t, tensors)})
}

// merged opens a checkpoint of one weight and merges an adapter.
func merged(t testing.TB, base matrix, adapter string) (*Tensor, error) {
	t.Helper()
	c := open(t, directory(t, map[string]string{singleFile: tensorFile(t, map[string]matrix{baseName: base})}))
	a, err := OpenAdapter(adapter)
	if err != nil {
		return nil, err
	}
	if err := c.Merge(a); err != nil {
		_ = a.Close()
		return nil, err
	}
	return c.Tensor(baseName, base.rows, base.cols)
}

// The merged weight is base + scale*B*A, whichever way it is read.
func TestMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		config     map[string]any
		rank       int64
		scale      float64
		transposed bool
	}{
		{nil, 4, 6.0 / 4, false},
		{map[string]any{"use_rslora": true}, 4, 6 / math.Sqrt(4), false},
		{map[string]any{"rank_pattern": map[string]any{"layers.0.x_proj": 2}, "alpha_pattern": map[string]any{"y_proj": 1, "x_pr.*": 5}}, 2, 5.0 / 2, false},
		{map[string]any{"r": 1, "alpha_pattern": map[string]any{"proj": 5}}, 1, 6, false},
		{map[string]any{"fan_in_fan_out": true}, 4, 6.0 / 4, false},
		{map[string]any{"fan_in_fan_out": true}, 4, 6.0 / 4, true},
		{map[string]any{"r": 150}, 150, 6.0 / 150, false},
		{map[string]any{"r": 150, "fan_in_fan_out": true}, 150, 6.0 / 150, true},
	} {
		const out, in = 7, 12
		base, a, b := newMatrix(r, out, in), newMatrix(r, c.rank, in), newMatrix(r, out, c.rank)
		if c.transposed {
			base = newMatrix(r, in, out)
		}
		w, err := merged(t, base, lora(t, c.config, map[string]matrix{loraName + ".lora_A.weight": a, loraName + ".lora_B.weight": b}))
		if err != nil {
			t.Errorf("%v: %v", c.config, err)
			continue
		}
		got := make([]float32, out*in)
		if err := w.ReadRows(got, 0, w.Rows()); err != nil {
			t.Fatal(err)
		}
		for i := range int64(out) {
			for k := range int64(in) {
				at := i*in + k
				if c.transposed {
					at = k*out + i
				}
				want := float64(base.data[at])
				for j := range c.rank {
					want += c.scale * float64(b.data[i*c.rank+j]) * float64(a.data[j*in+k])
				}
				if math.Abs(want-float64(got[at])) > 1e-5 {
					t.Fatalf("%v: element %d,%d is %g, want %g", c.config, i, k, got[at], want)
				}
			}
		}
		sameHoweverRead(t, w, got)
	}
}

// sameHoweverRead reads parts by rows, columns and bytes.
func sameHoweverRead(t *testing.T, w *Tensor, want []float32) {
	t.Helper()
	cols := w.Cols()
	rows := make([]float32, 3*cols)
	if err := w.ReadRows(rows, 2, 5); err != nil || !slices.Equal(rows, want[2*cols:5*cols]) {
		t.Errorf("rows 2:5 are other ones: %v", err)
	}
	columns := make([]float32, 2*w.Rows())
	if err := w.ReadColumns(columns, 3, 5); err != nil {
		t.Fatal(err)
	}
	for i, x := range columns {
		if row, col := int64(i)%w.Rows(), 3+int64(i)/w.Rows(); x != want[row*cols+col] {
			t.Fatalf("column %d, row %d is %g, want %g", col, row, x, want[row*cols+col])
		}
	}
	raw := make([]byte, 4*cols)
	if err := w.ReadRaw(raw, 1, 2); err != nil || math.Float32frombits(binary.LittleEndian.Uint32(raw[4:])) != want[cols+1] {
		t.Errorf("raw row 1 is another one: %v", err)
	}
	same, err := Equal(w, w)
	if err != nil || !same {
		t.Errorf("not equal to itself: %v", err)
	}
}

// Two adapters are merged one after the other.
func TestMergeTwo(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	base, a, b := newMatrix(r, 6, 8), newMatrix(r, 4, 8), newMatrix(r, 6, 4)
	dir := lora(t, nil, map[string]matrix{loraName + ".lora_A.weight": a, loraName + ".lora_B.weight": b})
	c := open(t, directory(t, map[string]string{singleFile: tensorFile(t, map[string]matrix{baseName: base})}))
	once, twice := make([]float32, 48), make([]float32, 48)
	for _, dst := range [][]float32{once, twice} {
		adapter, err := OpenAdapter(dir)
		if err == nil {
			err = c.Merge(adapter)
		}
		if err == nil {
			err = c.Lookup(baseName).ReadRows(dst, 0, 6)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, x := range base.data {
		if math.Abs(float64(twice[i]-once[i]-(once[i]-x))) > 1e-5 {
			t.Fatalf("element %d: %g, %g, %g", i, x, once[i], twice[i])
		}
	}
}

func TestHostileAdapters(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	base, a, b := newMatrix(r, 6, 8), newMatrix(r, 4, 8), newMatrix(r, 6, 4)
	good := map[string]matrix{loraName + ".lora_A.weight": a, loraName + ".lora_B.weight": b}
	with := func(name string, m matrix) map[string]matrix {
		tensors := maps.Clone(good)
		tensors[name] = m
		return tensors
	}
	for _, c := range []struct {
		config  map[string]any
		tensors map[string]matrix
		want    []string
	}{
		{map[string]any{"peft_type": "IA3"}, good, []string{"adapter_config.json: peft_type: is \"IA3\""}},
		{map[string]any{"peft_type": nil}, good, []string{"peft_type: is missing"}},
		{map[string]any{"use_dora": true}, good, []string{"use_dora: asks for DoRA"}},
		{map[string]any{"modules_to_save": []string{"lm_head"}}, good, []string{"modules_to_save: asks for whole layers", "merge_and_unload"}},
		{map[string]any{"layer_replication": []any{[]int{0, 1}}}, good, []string{"layer_replication"}},
		{map[string]any{"bias": "all"}, good, []string{"bias: is \"all\""}},
		{map[string]any{"init_lora_weights": "pissa_niter_4"}, good, []string{"init_lora_weights: is \"pissa_niter_4\", which changes the base model"}},
		{map[string]any{"init_lora_weights": []int{1}}, good, []string{"init_lora_weights: must be"}},
		{map[string]any{"r": 0}, good, []string{"r: 0 is outside"}},
		{map[string]any{"r": 1 << 30}, good, []string{"r: 1073741824 is outside"}},
		{map[string]any{"r": 8}, good, []string{loraName, "the rank is 8 by adapter_config.json"}},
		{map[string]any{"lora_alpha": "big"}, good, []string{"lora_alpha: must be a finite number"}},
		{map[string]any{"rank_pattern": map[string]any{"x_proj": 4.5}}, good, []string{"rank_pattern: gives", "4.5"}},
		{map[string]any{"rank_pattern": map[string]any{"(": 4}}, good, []string{"rank_pattern.(: is no pattern"}},
		{map[string]any{"alpha_pattern": []int{1}}, good, []string{"alpha_pattern: must be an object"}},
		{nil, map[string]matrix{}, []string{"adapter_model.safetensors: adapts nothing"}},
		{nil, map[string]matrix{loraName + ".lora_A.weight": a}, []string{"has only one of lora_A and lora_B"}},
		{nil, with("base_model.model.lm_head.weight", base), []string{"lm_head.weight", "is not lora_A or lora_B"}},
		{nil, with("base_model.model.model.embed_tokens.lora_embedding_A", a), []string{"lora_embedding_A", "is not lora_A or lora_B"}},
		{nil, with(loraName+".lora_magnitude_vector", a), []string{"is not lora_A or lora_B"}},
		{nil, with(loraName+".lora_B.weight", newMatrix(r, 5, 4)), []string{"their product does not fit", "[6 8]"}},
		{nil, with(loraName+".lora_B.weight", newMatrix(r, 6, 3)), []string{"the rank is 4"}},
		{nil, map[string]matrix{"base_model.model.y.lora_A.weight": a, "base_model.model.y.lora_B.weight": b}, []string{"adapts a weight that the checkpoint does not have"}},
	} {
		_, err := merged(t, base, lora(t, c.config, c.tensors))
		wantError(t, err, c.want...)
	}
}

// Adapters that do not fit what they are merged into are refused, and so are directories without one.
func TestAdaptersThatDoNotFit(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	square := newMatrix(r, 8, 8)
	_, err := merged(t, square, lora(t, map[string]any{"fan_in_fan_out": true},
		map[string]matrix{loraName + ".lora_A.weight": newMatrix(r, 4, 8), loraName + ".lora_B.weight": newMatrix(r, 8, 4)}))
	wantError(t, err, "adapts a square weight", "fan_in_fan_out")
}

func TestOpenAdapterNeedsAnAdapter(t *testing.T) {
	for name, want := range map[string]string{"adapter_model.bin": "adapter_model.bin: not a format that is read: it is a pickle", "x": "adapter_model.safetensors: is missing"} {
		_, err := OpenAdapter(directory(t, map[string]string{AdapterConfigFile: `{"peft_type":"LORA","r":4}`, name: ""}))
		wantError(t, err, want)
	}
	_, err := OpenAdapter(directory(t, nil))
	wantError(t, err, "adapter_config.json: is missing")
	c, err := OpenRandom(directory(t, nil), 1)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 8))
	adapter, err := OpenAdapter(lora(t, nil, map[string]matrix{loraName + ".lora_A.weight": newMatrix(r, 4, 8), loraName + ".lora_B.weight": newMatrix(r, 6, 4)}))
	if err != nil {
		t.Fatal(err)
	}
	defer adapter.Close()
	wantError(t, c.Merge(adapter), "these are made up")
}

// Whatever the configuration is, it is an adapter or a typed error.
func FuzzAdapterConfig(f *testing.F) {
	f.Add(`{"peft_type":"LORA","r":4,"lora_alpha":8,"rank_pattern":{"a.*":2}}`)
	f.Add(`{"peft_type":"LORA","r":4,"init_lora_weights":"gaussian","alpha_pattern":{"(":1}}`)
	f.Fuzz(func(t *testing.T, text string) {
		obj, err := ParseObject(AdapterConfigFile, []byte(text))
		if err != nil {
			return
		}
		c, err := parseAdapterConfig(obj)
		if err != nil {
			if !strings.HasPrefix(err.Error(), AdapterConfigFile) {
				t.Errorf("%v names no file", err)
			}
			return
		}
		if rank, err := c.rank("model.layers.0.x"); err == nil {
			if scale, err := c.scale("model.layers.0.x", rank); err != nil || rank < 1 || math.IsNaN(float64(scale)) || math.IsInf(float64(scale), 0) {
				t.Errorf("rank %d, scale %g, %v", rank, scale, err)
			}
		}
	})
}
