package models

import (
	"math"
	"slices"
	"strings"
	"testing"

	"llmc/internal/golden"
	"llmc/ir"
	"llmc/ir/interp"
)

// encoderRecording is what sentence-transformers' pipeline gave in f32.
type encoderRecording struct {
	Cases []struct {
		Key     string  `json:"key"`
		IDs     []int32 `json:"ids"`
		TypeIDs []int32 `json:"type_ids"`
		Score   float64 `json:"score_sigmoid"`
	} `json:"cases"`
}

// The imported functions give the embeddings, rows and scores that were recorded, of each text alone and of all in one batch.
func TestSharedEncoders(t *testing.T) {
	for _, name := range []string{"bert-minilm", "xlm-roberta-embed", "xlm-roberta-reranker", "modernbert-embed", "qwen3-embedding"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := golden.Shared(t, "checkpoints", name)
			var want encoderRecording
			recorded := recording{tensors: openRecorded(t, dir, &want)}
			m, src := load(t, dir, Options{})
			var all interp.Batch
			for i, c := range want.Cases {
				all.Add(i, 0, len(c.IDs), c.IDs...)
				all.Types = append(all.Types, append(c.TypeIDs, make([]int32, len(c.IDs)-len(c.TypeIDs))...)...)
			}
			together := embed(t, interp.New(m.Module, src), &all)
			for i, c := range want.Cases {
				machine := interp.New(m.Module, src)
				var rows []float32
				machine.Watch = func(v *ir.Value, x interp.Tensor) {
					if v.Name == "norm" || strings.HasSuffix(v.Name, ".out") { // the last layer's comes last
						rows = x.Data
					}
				}
				var b interp.Batch
				b.Add(7, 0, len(c.IDs), c.IDs...)
				if c.TypeIDs != nil {
					b.Types = c.TypeIDs
				}
				got := embed(t, machine, &b).Row(0)
				if !slices.Equal(got, together.Row(i)) {
					t.Errorf("%s: alone %v, among others %v", c.Key, got[:1], together.Row(i)[:1])
				}
				if e := recorded.elements(t, c.Key+".embedding"); e != nil {
					compare(t, c.Key+".embedding", got, e)
				} else if math.Abs(float64(got[0])-c.Score) > 1e-5 {
					t.Errorf("%s: score %v, want %v", c.Key, got[0], c.Score)
				}
				if h := recorded.elements(t, c.Key+".hidden"); h != nil {
					compare(t, c.Key+".hidden", rows, h)
				}
			}
		})
	}
}

func embed(t *testing.T, machine *interp.Machine, b *interp.Batch) interp.Tensor {
	t.Helper()
	out, err := machine.Run(EmbedFunc, b)
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}
