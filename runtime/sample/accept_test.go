package sample

import (
	"testing"

	"llmc/engine"
)

func TestAccept(t *testing.T) {
	for _, c := range []struct{ drafts, tokens, want []int32 }{
		{nil, []int32{4}, []int32{0}},
		{[]int32{-1}, []int32{4}, []int32{0}},
		{[]int32{4, 5, -1}, []int32{4, 5, 6}, []int32{2, 0, 0}},
		{[]int32{4, 5, -1}, []int32{4, 6, 6}, []int32{1, 0, 0}},
		{[]int32{4, 5, -1}, []int32{3, 5, 6}, []int32{0, 0, 0}},
		{[]int32{-1, 7, 7, -1, -1, 1, -1}, []int32{7, 7, 8, 9, 1, 1, 2}, []int32{0, 1, 0, 0, 0, 1, 0}},
		{[]int32{7, -1}, []int32{-1, 0}, []int32{0, 0}}, // logits that allow no choice
	} {
		out := make([]engine.Sampled, len(c.tokens))
		for i, token := range c.tokens {
			out[i].Token = token
		}
		Accept(c.drafts, out)
		for i := range out {
			if out[i].Accepted != c.want[i] {
				t.Errorf("drafts %v, sampled %v: row %d accepts %d, want %d", c.drafts, c.tokens, i, out[i].Accepted, c.want[i])
			}
		}
	}
}
