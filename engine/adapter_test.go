package engine

import (
	"path/filepath"
	"strings"
	"testing"
)

// writeAdapter writes a plan of zeros with these weights.
func writeAdapter(t *testing.T, info ModelInfo, weights ...WeightEntry) *Plan {
	t.Helper()
	c, err := InfoContent(&info)
	if err != nil {
		t.Fatal(err)
	}
	for i := range weights {
		weights[i].DType, weights[i].Bytes = "f32", 4
		for _, d := range weights[i].Shape {
			weights[i].Bytes *= d
		}
	}
	path := filepath.Join(t.TempDir(), "adapter.plan")
	w, err := NewWriter(path, Spec{Sections: []Content{c}, Weights: weights})
	if err != nil {
		t.Fatal(err)
	}
	for i := range weights {
		if _, err := w.Weight(i).Write(make([]byte, weights[i].Bytes)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	p, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// Matrices of adapters fit each other, whatever the file says.
func TestAdapterPairs(t *testing.T) {
	of := func(name string, shape ...int64) WeightEntry { return WeightEntry{Name: name, Shape: shape} }
	adapter := ModelInfo{Vocab: 8, MaxContext: 8, Adapter: &AdapterInfo{Base: "sha256:00", Rank: 3}}
	for _, c := range []struct {
		info    ModelInfo
		weights []WeightEntry
		want    string
	}{
		{adapter, []WeightEntry{of("w.lora_a", 1, 5, 32), of("w.lora_b", 2, 3, 32)}, ""},
		{ModelInfo{Vocab: 8, MaxContext: 8}, []WeightEntry{of("w.lora_a", 1, 5, 32), of("w.lora_b", 2, 3, 32)}, "is no adapter"},
		{adapter, []WeightEntry{of("w.lora_b", 2, 3, 32)}, "weight w.lora_a is missing"},
		{adapter, []WeightEntry{of("w.lora_a", 1, 5, 32)}, "not pairs"},
		{adapter, []WeightEntry{of("w.lora_a", 5, 32), of("w.lora_b", 2, 3, 32)}, "not f32 in panels"},
		{adapter, []WeightEntry{of("w.lora_a", 1, 5, 16), of("w.lora_b", 2, 3, 32)}, "not f32 in panels"},
		{adapter, []WeightEntry{of("w.lora_a", 2, 5, 32), of("w.lora_b", 2, 3, 32)}, "for an adapter of rank 3"},
		{adapter, []WeightEntry{of("w.lora_a", 1, 5, 32), of("w.lora_b", 2, 13, 32)}, "for an adapter of rank 3"},
	} {
		pairs, err := writeAdapter(t, c.info, c.weights...).AdapterPairs()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
		if err == nil && (len(pairs) != 1 || pairs[0].Weight != "w" || pairs[0].K != 5 || pairs[0].N != 64 || pairs[0].Rank != 3 || len(pairs[0].Down) != 4*5*32) {
			t.Errorf("%+v", pairs)
		}
	}
	for _, rank := range []int{0, -1, MaxAdapterRank + 1} {
		info := adapter
		info.Adapter = &AdapterInfo{Base: "sha256:00", Rank: rank}
		if err := info.check(); err == nil {
			t.Errorf("rank %d is taken", rank)
		}
	}
}
