package engine

import (
	"strings"
	"testing"
)

// What outputs begin and end with are tokens of the vocabulary, and few enough to leave room.
func TestSourceIsChecked(t *testing.T) {
	for _, c := range []struct {
		source SourceInfo
		text   string
	}{
		{SourceInfo{Start: []int32{3}, First: []int32{0}, Last: []int32{9}}, ""},
		{SourceInfo{First: []int32{0}}, "no token that an output comes behind"},
		{SourceInfo{Start: []int32{10}}, "token 10, which outputs begin or end with, is not in the vocabulary of 10"},
		{SourceInfo{Start: []int32{1}, Last: []int32{-1}}, "token -1"},
		{SourceInfo{Start: []int32{1, 2, 3, 4}}, "4 tokens that outputs begin or end with"},
		{SourceInfo{Start: []int32{1}, First: make([]int32, 65)}, "65 tokens that outputs begin or end with, at most 64"},
	} {
		info := ModelInfo{Vocab: 10, MaxContext: 4, BOS: -1, Source: &c.source}
		if len(c.source.First) > 4 {
			info.MaxContext = 100
		}
		err := info.check()
		if (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: %v, want %q", c.source, err, c.text)
		}
	}
}
