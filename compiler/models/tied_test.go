package models

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"llmc/compiler/hf"
	"llmc/ir"
)

const tableName, headName = "model.embed_tokens.weight", "lm_head.weight"

// save writes a checkpoint with random weights after edit has changed its tensors, and opens it.
func save(t *testing.T, config string, edit func(tensors map[string][]float32)) *hf.Checkpoint {
	t.Helper()
	m, c, err := importRandom(t, config, Options{})
	if err != nil {
		t.Fatal(err)
	}
	tensors, shapes := map[string][]float32{}, map[string][]int64{}
	for _, w := range m.Module.Weights {
		if w.Recipe.Kind == ir.FromTensor {
			tensor := c.Lookup(w.Recipe.Tensor)
			tensors[tensor.Name] = make([]float32, tensor.Elements())
			shapes[tensor.Name] = tensor.Shape
			if err := tensor.ReadRows(tensors[tensor.Name], 0, tensor.Rows()); err != nil {
				t.Fatal(err)
			}
		}
	}
	shapes[headName] = shapes[tableName]
	edit(tensors)
	type entry struct {
		Dtype   string   `json:"dtype"`
		Shape   []int64  `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	header, data := map[string]entry{}, []byte(nil)
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		begin := int64(len(data))
		for _, x := range tensors[name] {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
		header[name] = entry{"F32", shapes[name], [2]int64{begin, int64(len(data))}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	file := slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text, data)
	if err := os.WriteFile(filepath.Join(c.Dir, "model.safetensors"), file, 0o644); err != nil {
		t.Fatal(err)
	}
	saved, err := hf.Open(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { saved.Close() })
	return saved
}

// Tied matrices are one where the checkpoint holds one, or two that are equal; two that differ are both used, as transformers does.
func TestTiedEmbeddings(t *testing.T) {
	tied, untied := small(t, map[string]any{"tie_word_embeddings": true}), small(t, nil)
	for name, c := range map[string]struct {
		config string
		edit   func(map[string][]float32)
		table  string // the tensor of the embedding, "" for an error
		head   string
	}{
		"table only":      {tied, func(map[string][]float32) {}, tableName, tableName},
		"head only":       {tied, func(x map[string][]float32) { x[headName] = x[tableName]; delete(x, tableName) }, headName, headName},
		"both, equal":     {tied, func(x map[string][]float32) { x[headName] = x[tableName] }, tableName, tableName},
		"both, different": {tied, func(x map[string][]float32) { x[headName] = make([]float32, len(x[tableName])) }, tableName, headName},
		"untied":          {untied, func(map[string][]float32) {}, tableName, headName},
		"untied, no head": {untied, func(x map[string][]float32) { delete(x, headName) }, "", `tensor "lm_head.weight": is missing`},
		"neither":         {tied, func(x map[string][]float32) { delete(x, tableName) }, "", `tensor "model.embed_tokens.weight": is missing`},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Import(save(t, c.config, c.edit), Options{})
			if c.table == "" {
				wantError(t, err, c.head)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			ops := m.Module.Func("step").Ops
			table, head := ops[0].Arg("table").Weight, ops[len(ops)-1].Arg("w").Weight
			if table.Recipe.Tensor != c.table || head.Recipe.Tensor != c.head {
				t.Errorf("table is %s, head is %s", table.Recipe.Tensor, head.Recipe.Tensor)
			}
		})
	}
}
