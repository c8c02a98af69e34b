package runtime

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"llmc/engine"
)

// The echo's pages are its tokens, little endian.
func (m *echo) PageFormat() string { return "echo" }
func (m *echo) PageBytes() int     { return 4 * m.limits.PageSize }

func (m *echo) ReadPage(page int32, to []byte) error {
	for i, token := range m.memory[int(page)*m.limits.PageSize:][:m.limits.PageSize] {
		binary.LittleEndian.PutUint32(to[4*i:], uint32(token))
	}
	return nil
}

func (m *echo) WritePage(page int32, from []byte) error {
	for i := range m.limits.PageSize {
		m.memory[int(page)*m.limits.PageSize+i] = int32(binary.LittleEndian.Uint32(from[4*i:]))
	}
	return nil
}

// newEngineOf runs an echo until the test ends.
func newEngineOf(t *testing.T, m *echo, options Options) *Engine {
	t.Helper()
	e, err := New(m.model(), engine.ModelInfo{Name: "echo", Vocab: vocab, MaxContext: m.limits.MaxContext, EOS: []int32{idEOS}}, nil, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// scripted is a prompt of a script of n tokens.
func scripted(n, seed int) []int32 {
	prompt := []int32{int32(n)}
	for i := range n {
		prompt = append(prompt, int32((seed+i*i)%256))
	}
	return prompt
}

// said returns the tokens of a generation.
func said(g Generation) (tokens []int32, err error) {
	for {
		e, more := g.Next(context.Background())
		if !more {
			return tokens, errors.New("no last event")
		}
		if e.Token >= 0 {
			tokens = append(tokens, e.Token)
		}
		if e.Finish != "" {
			return tokens, e.Err
		}
	}
}

// move computes a prompt in one engine and puts its pages into another.
func move(ctx context.Context, from, to *Engine, r Request) (*Pages, error) {
	held, err := to.HoldPages(&r)
	if err != nil {
		return nil, err
	}
	if held.Known() == held.Most() {
		return held, nil
	}
	if !held.Reserve() {
		return held, errors.New("no room")
	}
	computed, err := from.Prefill(ctx, r)
	if err != nil {
		return held, err
	}
	defer computed.Release()
	page := make([]byte, from.model.(engine.PageMover).PageBytes())
	for i := held.Known(); i < held.Most(); i++ {
		if err := computed.Wait(ctx, i); err != nil {
			return held, err
		}
		if err := errors.Join(computed.Read(i, page), held.Write(i, page)); err != nil {
			return held, err
		}
	}
	held.Share(held.Most())
	return held, nil
}

// TestPagesGoToAnotherEngine wants an engine that was given the pages of prompts to say what it would have said, and to compute only what fills no page; also while others run, and
// some are preempted.
func TestPagesGoToAnotherEngine(t *testing.T) {
	bothWays(t, func(t *testing.T, newEcho func() *echo) {
		from, to := newEngineOf(t, newEcho(), Options{PreemptEvery: 5}), newEngineOf(t, newEcho(), Options{PreemptEvery: 7})
		var all sync.WaitGroup
		for n := range 24 {
			all.Go(func() {
				if err := checkMoved(from, to, scripted(10+31*n%200, n%6)); err != nil {
					t.Errorf("prompt %d: %v", n, err)
				}
			})
		}
		all.Wait()
		for name, e := range map[string]*Engine{"from": from, "to": to} {
			if held := e.Stats().PagesHeld; held != 0 {
				t.Errorf("%s: %d pages are still held", name, held)
			}
		}
	})
}

func checkMoved(from, to *Engine, prompt []int32) error {
	r := Request{Prompt: prompt, MaxTokens: len(prompt), PromptLogprobs: -1, Sampling: engine.Sampling{Logprobs: -1}}
	held, err := move(context.Background(), from, to, r)
	if held != nil {
		defer held.Release()
	}
	if err != nil {
		return err
	}
	g, err := to.Submit(context.Background(), r)
	if err != nil {
		return err
	}
	got, err := said(g)
	if want := append(slices.Clone(prompt[1:]), idEOS); err != nil || !slices.Equal(got, want[:len(got)]) || len(got) < len(prompt)-1 {
		return fmt.Errorf("said %v, want %v: %v", got, want, err)
	}
	if cached := g.Usage().CachedTokens; cached < (len(prompt)-1)/4*4 {
		return fmt.Errorf("%d of %d tokens were found", cached, len(prompt))
	}
	return nil
}

// A computation for others ends with whoever waits for it, and pages that can not be moved are not.
func TestPrefillEnds(t *testing.T) {
	m := newEcho()
	gate := make(chan struct{})
	m.before = func(int, *engine.Step, []engine.Sampled) error { <-gate; return nil }
	e := newEngineOf(t, m, Options{ChunkTokens: 8})
	r := Request{Prompt: scripted(100, 1)}
	ctx, cancel := context.WithCancelCause(context.Background())
	p, err := e.Prefill(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	gate <- struct{}{}
	if err := p.Wait(ctx, 1); err != nil {
		t.Error(err)
	}
	gone := errors.New("gone")
	cancel(gone)
	if err := p.Wait(ctx, 20); !errors.Is(err, gone) {
		t.Errorf("after the end: %v", err)
	}
	close(gate)
	p.Release()
	p.Release()
	if _, err := e.Prefill(context.Background(), Request{Prompt: []int32{vocab}}); !errors.Is(err, ErrBadRequest) {
		t.Errorf("a token that there is not: %v", err)
	}
	for name, other := range map[string]*Engine{"no prefix cache": newEngineOf(t, newEcho(), Options{NoPrefixCache: true})} {
		if _, err := other.HoldPages(&r); !errors.Is(err, ErrNoPages) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
