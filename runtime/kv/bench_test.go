package kv

import (
	"math/rand/v2"
	"testing"
)

// filled returns a pool that caches 100,000 tokens of which the given prompt is a part, and the prompt.
func filled(tb testing.TB, size int) (*Pool, []int32) {
	rng := rand.New(rand.NewPCG(1, 2))
	p := New(110_000/size, size, Options{})
	var prompt []int32
	for n := 0; n < 100_000; n += 1024 {
		s := &sequence{tokens: make([]int32, 1024)}
		for i := range s.tokens {
			s.tokens[i] = rng.Int32N(150_000)
		}
		s.write(tb, p)
		p.Release(&s.Table)
		if n == 50*1024 {
			prompt = s.tokens
		}
	}
	return p, prompt
}

// The sequence's way through its life: matched, grown token by token, given back.
func TestNoAllocationOnTheHotPath(t *testing.T) {
	p, prompt := filled(t, 16)
	var table Table
	table.Init(Key{Salt: ""}, 128)
	tokens := append([]int32(nil), prompt...)
	tokens = append(tokens, make([]int32, 200)...)
	if n := testing.AllocsPerRun(50, func() {
		table.Init(Key{}, 128)
		if p.Match(&table, prompt, true) != len(prompt) {
			t.Fatal("prompt is not cached")
		}
		for n := len(prompt) + 1; n <= len(tokens); n++ {
			if !p.Reserve(&table, n) {
				t.Fatal("no room")
			}
			p.Commit(&table, tokens[:n])
		}
		p.Release(&table)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMatch1kOf100k(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"page16", 16}, {"page32", 32}, {"page64", 64}} {
		b.Run(c.name, func(b *testing.B) {
			p, prompt := filled(b, c.size)
			var table Table
			table.Init(Key{}, 128)
			b.ReportAllocs()
			for b.Loop() {
				if p.Match(&table, prompt, true) != len(prompt) {
					b.Fatal("prompt is not cached")
				}
				p.Release(&table)
			}
		})
	}
}

func BenchmarkMatchMiss1kOf100k(b *testing.B) {
	p, prompt := filled(b, 16)
	other := append([]int32{-1}, prompt[1:]...)
	var table Table
	for b.Loop() {
		if p.Match(&table, other, true) != 0 {
			b.Fatal("matched")
		}
	}
}

func BenchmarkAppendToken(b *testing.B) {
	p := New(1024, 16, Options{})
	tokens := make([]int32, 4096)
	var table Table
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		if n == len(tokens) {
			p.Release(&table)
			n = 0
		}
		n++
		p.Reserve(&table, n)
		p.Commit(&table, tokens[:n])
	}
}
