package calib

import (
	"math"
	"testing"
)

func TestCompareVectors(t *testing.T) {
	want := [][]float32{{1, 0}, {0, 1}, {1, 0.9}, {0, 2}}
	turned := [][]float32{{2, 0}, {3, 0}, {-1, -0.9}, {0, 5}} // the second is 90 degrees off, the third opposite
	c, err := CompareVectors("embedding", 2, turned, want)
	if err != nil || math.Abs(*c.Cosine-0.25) > 1e-9 || *c.CosineMin > -1+1e-9 || c.Lines != 4 {
		t.Fatalf("%+v, %v", c, err)
	}
	// Nearest are 2, 3, 0 and 1 of the reference, 1, 0, 3 and 0 of the others: none the same.
	if *c.Top1 != 0 || c.Diff != nil {
		t.Errorf("%+v", c)
	}
	same, err := CompareVectors("hidden", 1, [][]float32{{1, -2}, {0}}, [][]float32{{2, -1}, {0}})
	if err != nil || *same.Cosine != 1 || *same.CosineMin != 1 || same.Top1 != nil {
		t.Errorf("%+v, %v", same, err)
	}
	labels, err := CompareVectors("logits", 2, [][]float32{{1, 2}, {3, 1}}, [][]float32{{1, 4}, {1, 1.5}})
	if err != nil || *labels.Top1 != 0.5 || *labels.DiffMax != 2 || *labels.Diff != 4.5/4 || labels.Cosine != nil {
		t.Errorf("%+v, %v", labels, err)
	}
	for name, c := range map[string]struct{ got, want [][]float32 }{
		"none": {}, "fewer": {[][]float32{{1, 2}}, nil}, "shorter": {[][]float32{{1}}, [][]float32{{1, 2}}}, "rows": {[][]float32{{1, 2, 3}}, [][]float32{{1, 2, 3}}},
		"not finite": {[][]float32{{1, float32(math.NaN())}}, [][]float32{{1, 2}}},
	} {
		if got, err := CompareVectors("embedding", 2, c.got, c.want); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
