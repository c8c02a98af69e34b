package gguf

import (
	"bytes"

	"llmc/compiler/gguf/gguftest"
)

// tiny is a Llama of one layer with two heads of four channels, whose weights count up.
func tiny() *gguftest.Writer {
	w := &gguftest.Writer{Keys: []any{
		"general.architecture", "llama", "llama.context_length", 64, "llama.embedding_length", 8, "llama.block_count", 1,
		"llama.feed_forward_length", 16, "llama.attention.head_count", 2, "llama.attention.head_count_kv", 1,
		"llama.attention.layer_norm_rms_epsilon", 1e-5, "llama.rope.dimension_count", 4, "llama.rope.freq_base", 10000.0,
		"tokenizer.ggml.model", "llama", tokensKey, []string{"<unk>", "<s>", "</s>", "▁", "a", "▁a"},
		scoresKey, []float32{0, 0, 0, -3, -2, -1}, typesKey, []int32{2, 3, 3, 1, 1, 1},
	}}
	for _, t := range []struct {
		name string
		dims []uint64
	}{
		{"token_embd.weight", []uint64{8, 6}}, {"output_norm.weight", []uint64{8}}, {"output.weight", []uint64{8, 6}},
		{"blk.0.attn_norm.weight", []uint64{8}}, {"blk.0.ffn_norm.weight", []uint64{8}},
		{"blk.0.attn_q.weight", []uint64{8, 8}}, {"blk.0.attn_k.weight", []uint64{8, 4}}, {"blk.0.attn_v.weight", []uint64{8, 4}},
		{"blk.0.attn_output.weight", []uint64{8, 8}}, {"blk.0.ffn_gate.weight", []uint64{8, 16}}, {"blk.0.ffn_up.weight", []uint64{8, 16}},
		{"blk.0.ffn_down.weight", []uint64{16, 8}},
	} {
		n := uint64(1)
		for _, d := range t.dims {
			n *= d
		}
		var data bytes.Buffer
		for i := range n {
			gguftest.Put(&data, float32(i))
		}
		w.Tensors = append(w.Tensors, gguftest.Tensor{Name: t.name, Dims: t.dims, Data: data.Bytes()})
	}
	return w
}
