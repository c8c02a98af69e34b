package ensemble

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// lengths answers a step of ranking: embeddings are the lengths of texts, scores are made of them.
func lengths(t *testing.T) Call {
	return func(_ context.Context, step int, in Tensors) (Tensors, error) {
		if step > 0 {
			var values []float32
			for _, text := range in["text"].Texts {
				values = append(values, float32(len(text)), 0, 1)
			}
			return Tensors{"embedding": Floats([]int64{int64(len(values) / 3), 3}, values)}, nil
		}
		b, err := NewBuiltin("similarity", map[string]string{"metric": "dot"}, nil, nil)
		if err != nil {
			t.Error(err)
		}
		return b.Compute(context.Background(), in, nil)
	}
}

func inputsOf() Tensors {
	return Tensors{"query": Of([]int64{1}, "ab"), "documents": Of([]int64{3, 1}, "a", "abc", "")}
}

func TestRun(t *testing.T) {
	g, err := NewGraph(ranking(nil))
	if err != nil {
		t.Fatal(err)
	}
	var now, most int64
	account := func(n int64) error {
		now += n
		most = max(most, now)
		return nil
	}
	out, _, err := g.Run(context.Background(), inputsOf(), -1, lengths(t), account)
	if err != nil || fmt.Sprint(out["scores"].Float32s()) != "[3 7 1]" {
		t.Fatalf("%v %v", out, err)
	}
	if now != out["scores"].Bytes() || most <= now { // what nobody will read is given back
		t.Errorf("%d bytes at the end, %d at most", now, most)
	}
	// What a step apart reads is computed, it is not.
	_, held, err := g.Run(context.Background(), inputsOf(), 0, lengths(t), nil)
	if err != nil || fmt.Sprint(held["query"].Float32s()) != "[2 0 1]" || held["documents"] == nil {
		t.Errorf("%v %v", held, err)
	}
	for want, in := range map[string]Tensors{
		`input "documents" is missing`: {"query": Of([]int64{1}, "ab")},
		`input "query": shape [2]`:     {"query": Of([]int64{2}, "a", "b"), "documents": Of([]int64{0})},
		`input "query": datatype FP32`: {"query": Floats([]int64{1}, []float32{1}), "documents": Of([]int64{0})},
	} {
		if _, _, err := g.Run(context.Background(), in, -1, lengths(t), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Steps that do not need each other run at the same time: each waits here until the other has begun.
func TestBranchesRunTogether(t *testing.T) {
	g, err := NewGraph(ranking(nil))
	if err != nil {
		t.Fatal(err)
	}
	both, begun := make(chan struct{}), atomic.Int32{}
	compute := lengths(t)
	_, _, err = g.Run(context.Background(), inputsOf(), -1, func(ctx context.Context, step int, in Tensors) (Tensors, error) {
		if step > 0 {
			if begun.Add(1) == 2 {
				close(both)
			}
			<-both
		}
		return compute(ctx, step, in)
	}, nil)
	if err != nil {
		t.Error(err)
	}
}

// An error, the end of the request or too much memory ends the steps that run, and no other begins.
func TestRunEnds(t *testing.T) {
	g, err := NewGraph(ranking(nil))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	waiting := func(fails error) Call {
		return func(ctx context.Context, step int, _ Tensors) (Tensors, error) {
			switch step {
			case 0:
				t.Error("a step began without its inputs")
			case 1:
				if fails != nil {
					return nil, fails
				}
			}
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
	}
	_, _, err = g.Run(context.Background(), inputsOf(), -1, waiting(broken), nil)
	var at *StepError
	if !errors.Is(err, broken) || !errors.As(err, &at) || at.Step != 1 || err.Error() != `ensemble "r" step 1 (model "embed"): broken` {
		t.Errorf("%v", err)
	}
	gone := errors.New("the client has gone")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(gone)
	if _, _, err = g.Run(ctx, inputsOf(), -1, waiting(nil), nil); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
	small := *g
	small.MaxBytes = 60
	if _, _, err = small.Run(context.Background(), inputsOf(), -1, waiting(nil), nil); !errors.Is(err, ErrBytes) || !strings.Contains(err.Error(), "max_tensor_bytes") {
		t.Errorf("%v", err)
	}
	if _, _, err = g.Run(context.Background(), inputsOf(), -1, func(context.Context, int, Tensors) (Tensors, error) { return Tensors{}, nil }, nil); err == nil || !strings.Contains(err.Error(), `gave no output "embedding"`) {
		t.Errorf("%v", err)
	}
}

// The last step is one whose outputs are all the ensemble's own.
func TestLast(t *testing.T) {
	g, err := NewGraph(ranking(nil))
	if err != nil {
		t.Fatal(err)
	}
	all := func(int) bool { return true }
	if got := g.Last(all); got != 0 {
		t.Errorf("%d", got)
	}
	if got := g.Last(func(i int) bool { return i == 1 }); got != -1 {
		t.Errorf("%d is read by another", got)
	}
}

// FuzzTensor: no bytes make a tensor whose elements are not those of its shape, and bytes come back as they went in.
func FuzzTensor(f *testing.F) {
	f.Add("BYTES", int64(2), int64(1), []byte("\x01\x00\x00\x00a\x00\x00\x00\x00"))
	f.Add("FP32", int64(1), int64(2), []byte("12345678"))
	f.Fuzz(func(t *testing.T, kind string, a, b int64, raw []byte) {
		made, err := FromRaw(kind, []int64{a, b}, raw)
		if err != nil {
			return
		}
		if n, err := Count(made.Shape); err != nil || n != made.Len() || string(made.AppendRaw(nil)) != string(raw) {
			t.Fatalf("%v of %q: %v", made, raw, err)
		}
		for i := range min(made.Len(), 16) {
			made.Element(nil, i)
		}
	})
}
