package ensemble

import (
	"strings"
	"testing"
)

func spec(name, kind string, dims ...int64) Spec { return Spec{Name: name, Type: kind, Dims: dims} }

// ranking is an ensemble of two branches that meet.
func ranking(change func(g *Graph)) Graph {
	g := Graph{Name: "r", Inputs: []Spec{spec("query", "BYTES", 1), spec("documents", "BYTES", -1)}, Outputs: []Spec{spec("scores", "FP32", -1)}, Steps: []Step{
		{Model: "compare", In: map[string]string{"query": "q", "documents": "d"}, Out: map[string]string{"scores": "scores"}},
		{Model: "embed", In: map[string]string{"text": "query"}, Out: map[string]string{"embedding": "q"}},
		{Model: "embed", In: map[string]string{"text": "documents"}, Out: map[string]string{"embedding": "d"}},
	}}
	if change != nil {
		change(&g)
	}
	return g
}

var (
	embed   = Signature{[]Spec{spec("text", "BYTES", -1, 1), {Name: "prompt_name", Type: "BYTES", Dims: []int64{1}, Optional: true}}, []Spec{spec("embedding", "FP32", -1, 3)}}
	compare = similarityKind.Fixed
)

func TestGraph(t *testing.T) {
	g, err := NewGraph(ranking(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Fit([]Signature{compare, embed, embed}); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(g *Graph){
		`ensemble "r": no step`:   func(g *Graph) { g.Steps = nil },
		"at most 64":              func(g *Graph) { g.Steps = make([]Step, 65) },
		"no output":               func(g *Graph) { g.Outputs = nil },
		"step 1: model_name":      func(g *Graph) { g.Steps[1].Model = "" },
		"step of itself":          func(g *Graph) { g.Steps[1].Model = "r" },
		"input_map or output_map": func(g *Graph) { g.Steps[1].In = nil },
		`"query" is there twice`:  func(g *Graph) { g.Inputs[1].Name = "query" },
		"no data_type":            func(g *Graph) { g.Inputs[1].Type = "" },
		"dims [0]":                func(g *Graph) { g.Inputs[1].Dims = []int64{0} },
		`step 2 (model "embed"): tensor "q" is made twice: it is also output "embedding" of step 1`: func(g *Graph) { g.Steps[2].Out["embedding"] = "q" },
		`tensor "query" is made twice: it is also an input`:                                         func(g *Graph) { g.Steps[2].Out["embedding"] = "query" },
		`no step makes tensor "x"`:     func(g *Graph) { g.Steps[0].In["query"] = "x" },
		`output "y": no step makes it`: func(g *Graph) { g.Outputs[0].Name = "y" },
		`steps wait for each other: step 0 (model "compare") reads d, q; step 1 (model "embed") reads scores`: func(g *Graph) { g.Steps[1].In["text"] = "scores" },
		`input "more": no step reads it`: func(g *Graph) { g.Inputs = append(g.Inputs, spec("more", "BYTES", 1)) },
		`nothing reads tensor "unread"`:  func(g *Graph) { g.Steps[0].Out["also"] = "unread" },
	} {
		if _, err := NewGraph(ranking(change)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for want, change := range map[string]func(g *Graph){
		`step 1 (model "embed"): tensor "query": is BYTES here, and FP32 from the ensemble's input`: func(g *Graph) { g.Inputs[0].Type = "FP32" },
		`the model has no input "texts"; it has text, prompt_name`:                                  func(g *Graph) { g.Steps[1].In = map[string]string{"texts": "query"} },
		`input "documents" of the model is not in input_map`: func(g *Graph) {
			g.Steps[0].In = map[string]string{"query": "q"}
			g.Steps, g.Inputs = g.Steps[:2], g.Inputs[:1]
		},
		`the model has no output "vector"`: func(g *Graph) { g.Steps[1].Out = map[string]string{"vector": "q"} },
		`"query" may be absent`:            func(g *Graph) { g.Inputs[0].Optional = true },
		`output "scores": has shape [2 2]`: func(g *Graph) { g.Outputs[0].Dims = []int64{2, 2} },
		`output "scores": is INT64 here`:   func(g *Graph) { g.Outputs[0].Type = "INT64" },
		`tensor "query": has shape [-1 1]`: func(g *Graph) { g.Inputs[0].Dims = []int64{2, 2} },
	} {
		changed := ranking(change)
		g, err := NewGraph(changed)
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		if err := g.Fit([]Signature{compare, embed, embed}[:len(changed.Steps)]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A type that a step takes over from its input goes on through the graph.
func TestTypesGoThrough(t *testing.T) {
	g, err := NewGraph(Graph{Name: "t", Inputs: []Spec{spec("x", "BYTES", -1), spec("i", "INT64", -1)}, Outputs: []Spec{spec("z", "FP32", -1)}, Steps: []Step{
		{Model: "a", In: map[string]string{"input": "x", "indices": "i"}, Out: map[string]string{"output": "y"}},
		{Model: "b", In: map[string]string{"input": "y", "indices": "i"}, Out: map[string]string{"output": "z"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := `output "z": is FP32 here, and BYTES from output "output" of step 1 (model "b")`
	if err := g.Fit([]Signature{takeKind.Fixed, takeKind.Fixed}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		a, b []int64
		want bool
	}{
		{nil, []int64{3}, true}, {[]int64{-1}, []int64{-1, 1}, true}, {[]int64{1}, []int64{-1, 1}, true}, {[]int64{2}, []int64{3}, false}, {[]int64{}, []int64{1}, true},
		{[]int64{-1}, []int64{-1, -1}, false}, {[]int64{-1, 3}, []int64{2, 3}, true}, {[]int64{2, 3}, []int64{2}, false}, {[]int64{2, 2}, []int64{-1, 1}, false},
	} {
		if fits(c.a, c.b) != c.want || fits(c.b, c.a) != c.want {
			t.Errorf("%v and %v", c.a, c.b)
		}
	}
}
