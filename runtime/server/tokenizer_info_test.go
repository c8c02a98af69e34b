package server

import (
	"reflect"
	"testing"
)

func TestTokenizerInfo(t *testing.T) {
	b := &fakeBackend{}
	m := fakeModel("tiny", b)
	m.Info.BOS, m.Info.EOS = fakeBOS, []int32{fakeEOS, 7}
	got := startServer(t, b, Config{Models: []Model{m}}).do("GET", "/tokenizer_info", "").json(t)
	if want := (map[string]any{"model": "tiny", "bos_token": "<s>", "eos_token": "</s>", "model_max_length": 128.0}); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	m.Info.BOS, m.Info.EOS = -1, nil
	got = startServer(t, b, Config{Models: []Model{m}}).do("GET", "/tokenizer_info", "").json(t)
	if got["bos_token"] != nil || got["eos_token"] != nil {
		t.Errorf("of a model without special tokens: %v", got)
	}
}
