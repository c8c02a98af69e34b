package ensemble

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
)

// letters is a model whose tokens are the bytes of texts, behind token 1 where special ones are wanted.
type letters struct{}

func (letters) Tokens(special bool, texts ...string) (ids []int32, err error) {
	if special {
		ids = append(ids, 1)
	}
	for _, b := range []byte(strings.Join(texts, "|")) {
		ids = append(ids, int32(b))
	}
	return ids, nil
}

func (letters) Text(ids []int32, skip bool) (string, error) {
	var text []byte
	for _, id := range ids {
		if id != 1 || !skip {
			text = append(text, byte(id))
		}
	}
	return string(text), nil
}

func (letters) Chat(messages []byte) (string, error) { return "chat:" + string(messages), nil }

// show prints tensors in short.
func show(out Tensors) string {
	var parts []string
	for _, name := range []string{"input_ids", "attention_mask", "text", "prompt", "indices", "values", "scores", "output", "embedding", "label", "score"} {
		t := out[name]
		switch {
		case t == nil:
		case t.Type == "BYTES":
			parts = append(parts, fmt.Sprintf("%s%v=%q", name, t.Shape, t.Texts))
		case t.Type == "FP32":
			parts = append(parts, fmt.Sprintf("%s%v=%.4g", name, t.Shape, t.Float32s()))
		default:
			parts = append(parts, fmt.Sprintf("%s%v=%v", name, t.Shape, t.Int64s()))
		}
	}
	return strings.Join(parts, " ")
}

// rowsOf are texts, one a row; vectorsOf are rows of numbers.
func rowsOf(s ...string) *Tensor { return Of([]int64{int64(len(s)), 1}, s...) }

func vectorsOf(rows int64, x ...float32) *Tensor {
	return Floats([]int64{rows, int64(len(x)) / rows}, x)
}

func listOf(x ...int64) *Tensor { return Ints([]int64{int64(len(x))}, x) }

var (
	hidden = Floats([]int64{1, 3, 2}, []float32{3, 0, 0, 4, 100, 100})
	mask   = Ints([]int64{1, 3}, []int64{1, 1, 0})
)

// kindCases are steps, what goes in and what comes out. Numbers are worked out by hand.
var kindCases = []struct {
	kind, parameters string
	inputs           []Spec
	in               Tensors
	want             string // an error's text behind "error: "
}{
	{"tokenize", "model=m", nil, Tensors{"text": rowsOf("ab", "c")}, "input_ids[2 3]=[1 97 98 1 99 0] attention_mask[2 3]=[1 1 1 1 1 0]"},
	{"tokenize", "model=m add_special_tokens=false max_length=1 pad_id=9", nil, Tensors{"text": rowsOf("ab", "")}, "input_ids[2 1]=[97 9] attention_mask[2 1]=[1 0]"},
	{"tokenize", "model=m", nil, Tensors{"text": rowsOf("a"), "text_pair": rowsOf("b")}, "input_ids[1 4]=[1 97 124 98] attention_mask[1 4]=[1 1 1 1]"},
	{"tokenize", "model=m", nil, Tensors{"text": rowsOf("a"), "text_pair": rowsOf("b", "c")}, "error: 2 texts, there are 1"},
	{"detokenize", "model=m", nil, Tensors{"input_ids": Ints([]int64{2, 2}, []int64{1, 97, 98, 0}), "attention_mask": Ints([]int64{2, 2}, []int64{1, 1, 1, 0})}, `text[2 1]=["a" "b"]`},
	{"detokenize", "model=m", nil, Tensors{"input_ids": Ints([]int64{1, 1}, []int64{-5})}, "error: no token id"},
	{"chat", "model=m system=be-brief", nil, Tensors{"user": rowsOf("hi")}, `prompt[1 1]=["chat:[{\"role\":\"system\",\"content\":\"be-brief\"},{\"role\":\"user\",\"content\":\"hi\"}]"]`},
	{"template", "template={%for_d_in_docs%}{{loop.index}}:{{d}};{%endfor%}{{q}}", []Spec{spec("docs", "BYTES", -1), spec("q", "BYTES", 1)}, Tensors{"docs": rowsOf("a", "b"), "q": rowsOf("?")}, `text[1 1]=["1:a;2:b;?"]`},
	{"template", "template={{nothing.x.y}}", []Spec{spec("q", "BYTES", 1)}, Tensors{"q": rowsOf("?")}, "error: undefined"},
	{"similarity", "", nil, Tensors{"query": vectorsOf(1, 3, 4), "documents": vectorsOf(3, 6, 8, -4, 3, 0, 0)}, "scores[3]=[1 0 0]"},
	{"similarity", "metric=dot", nil, Tensors{"query": vectorsOf(2, 1, 2, 3, 4), "documents": vectorsOf(2, 1, 1, 1, 1)}, "scores[2]=[3 7]"},
	{"similarity", "", nil, Tensors{"query": vectorsOf(1, 3, 4, 5), "documents": vectorsOf(1, 6, 8)}, "error: rows of 2, those of query have 3"},
	{"top_k", "k=2", nil, Tensors{"scores": Floats([]int64{4, 1}, []float32{1, 3, 2, 3})}, "indices[2]=[1 3] values[2]=[3 3]"},
	{"top_k", "k=3 min_score=2.5", nil, Tensors{"scores": Floats([]int64{4}, []float32{1, 3, 2, 3})}, "indices[2]=[1 3] values[2]=[3 3]"},
	{"top_k", "k=9", nil, Tensors{"scores": Floats([]int64{0}, nil)}, "indices[0]=[] values[0]=[]"},
	{"take", "", nil, Tensors{"input": rowsOf("a", "b", "c"), "indices": listOf(2, 0, 2)}, `output[3 1]=["c" "a" "c"]`},
	{"take", "", nil, Tensors{"input": vectorsOf(2, 1, 2, 3, 4), "indices": listOf(1)}, "output[1 2]=[3 4]"},
	{"take", "", nil, Tensors{"input": rowsOf("a"), "indices": listOf(1)}, "error: index 1 is outside of 1 rows"},
	{"take", "", nil, Tensors{"input": rowsOf("a"), "indices": listOf(-1)}, "error: index -1 is outside"},
	{"repeat", "", nil, Tensors{"input": rowsOf("q"), "like": vectorsOf(3, 1, 2, 3)}, `output[3 1]=["q" "q" "q"]`},
	{"repeat", "", nil, Tensors{"input": rowsOf("q", "r"), "like": vectorsOf(1, 1)}, "error: 2 rows, must be 1"},
	{"pool", "normalize=false", nil, Tensors{"hidden": hidden, "attention_mask": mask}, "embedding[1 2]=[1.5 2]"},
	{"pool", "", nil, Tensors{"hidden": hidden, "attention_mask": mask}, "embedding[1 2]=[0.6 0.8]"},
	{"pool", "mode=cls", nil, Tensors{"hidden": hidden}, "embedding[1 2]=[1 0]"},
	{"pool", "mode=last normalize=false", nil, Tensors{"hidden": hidden, "attention_mask": mask}, "embedding[1 2]=[0 4]"},
	{"pool", "mode=max normalize=false", nil, Tensors{"hidden": hidden, "attention_mask": mask}, "embedding[1 2]=[3 4]"},
	{"pool", "", nil, Tensors{"hidden": hidden, "attention_mask": Ints([]int64{1, 3}, make([]int64, 3))}, "error: row 0 has no token"},
	{"classify", "labels=cold,warm", nil, Tensors{"logits": vectorsOf(2, 1, 2, 0, -1)}, `scores[2 2]=[0.2689 0.7311 0.7311 0.2689] label[2 1]=["warm" "cold"] score[2 1]=[0.7311 0.7311]`},
	{"classify", "activation=sigmoid", nil, Tensors{"logits": vectorsOf(1, 0, 2)}, `scores[1 2]=[0.5 0.8808] label[1 1]=["1"] score[1 1]=[0.8808]`},
	{"classify", "labels=a,b,c", nil, Tensors{"logits": vectorsOf(1, 0, 2)}, "error: 2 numbers a row, there are 3 labels"},
}

func TestKinds(t *testing.T) {
	for _, c := range kindCases {
		parameters := map[string]string{}
		for _, p := range strings.Fields(c.parameters) {
			name, value, _ := strings.Cut(p, "=")
			parameters[name] = strings.ReplaceAll(value, "_", map[bool]string{true: " ", false: "_"}[name == "template"])
		}
		b, err := NewBuiltin(c.kind, parameters, c.inputs, nil)
		if err != nil {
			t.Fatalf("%s %s: %v", c.kind, c.parameters, err)
		}
		in, err := b.Signature().Conform(c.in)
		if err != nil {
			t.Fatalf("%s %s: %v", c.kind, c.parameters, err)
		}
		out, err := b.Compute(context.Background(), in, letters{})
		if want, fails := strings.CutPrefix(c.want, "error: "); fails {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: %v, want %q", c.kind, c.parameters, err, want)
			}
			continue
		}
		if got := show(out); err != nil || got != c.want {
			t.Errorf("%s %s: %s %v, want %s", c.kind, c.parameters, got, err, c.want)
		}
		for _, s := range b.Signature().Outputs { // what the table says comes out does
			if _, err := s.conform(out[s.Name]); err != nil {
				t.Errorf("%s: output %s: %v", c.kind, s.Name, err)
			}
		}
	}
}

func TestKindRefusals(t *testing.T) {
	for _, c := range []struct {
		kind, parameters string
		inputs           []Spec
		want             string
	}{
		{"magic", "", nil, "is not known; there are tokenize"}, {"top_k", "", nil, "parameter k is missing"}, {"top_k", "k=0", nil, "k: \"0\" is no number from 1"},
		{"top_k", "k=1.5", nil, "no whole number"}, {"top_k", "k=NaN", nil, "no number"}, {"top_k", "k=1 j=2", nil, "parameter \"j\" is not known; there are k, min_score"},
		{"similarity", "metric=l2", nil, "none of cosine, dot"}, {"tokenize", "", nil, "parameter model is missing"}, {"template", "template=x", nil, "needs the inputs"},
		{"template", "template={{", []Spec{spec("q", "BYTES", 1)}, "template"}, {"template", "template=x", []Spec{spec("q", "BF16", 1)}, "data_type must be"},
		{"top_k", "k=1", []Spec{spec("logits", "FP32", -1)}, "the step has scores"}, {"top_k", "k=1", []Spec{spec("scores", "INT64", -1)}, "is FP32"},
	} {
		parameters := map[string]string{}
		for _, p := range strings.Fields(c.parameters) {
			name, value, _ := strings.Cut(p, "=")
			parameters[name] = value
		}
		if _, err := NewBuiltin(c.kind, parameters, c.inputs, nil); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %s: %v, want %q", c.kind, c.parameters, err, c.want)
		}
	}
}

// Every step, parameter and tensor is in the documents.
func TestKindsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/repository.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Kinds {
		row := "| `" + k.Name + "` | " + k.Does
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/repository.md has no row that begins with %s", row)
		}
		for _, p := range k.Parameters {
			if !strings.Contains(string(text), "`"+p.Name+"`") {
				t.Errorf("docs/repository.md: parameter %s of %s", p.Name, k.Name)
			}
		}
		for _, s := range append(k.Fixed.Inputs, k.Fixed.Outputs...) {
			if !strings.Contains(string(text), "`"+s.Name+"`") {
				t.Errorf("docs/repository.md: tensor %s of %s", s.Name, k.Name)
			}
		}
	}
}
