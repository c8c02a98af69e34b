package kv

import (
	"slices"
	"testing"
)

// The last page of a sequence that has ended is gone on with: in place by the first, in a copy by the others, by none where copies can not be made.
func TestTailsAreSharedByCopies(t *testing.T) {
	p := New(16, 4, Options{Tails: true})
	a, _ := open(p, Key{}, count(0, 11)...)
	a.write(t, p)
	last := a.Pages()[2]
	p.Keep(&a.Table, a.tokens[:10])
	p.Release(&a.Table)
	b, first := open(p, Key{}, count(0, 14)...)
	c, second := open(p, Key{}, append(count(0, 10), 99, 98)...)
	if first != 10 || second != 10 || b.Pages()[2] != last || c.Pages()[2] == last {
		t.Fatalf("matched %d and %d in pages %v and %v, want 10 each and the tail %d in the first", first, second, b.Pages(), c.Pages(), last)
	}
	if got := p.TakeCopies(nil); !slices.Equal(got, []Copy{{last, c.Pages()[2]}}) || p.TakeCopies(nil) != nil {
		t.Errorf("copies %v", got)
	}
	d := &sequence{tokens: count(0, 14)}
	if got := p.Match(&d.Table, d.tokens, false); got != 8 {
		t.Errorf("matched %d where nothing can be copied, want the full pages alone", got)
	}
	check(t, p, b, c, d)
	// Whoever goes on fills the page, which is then found as any other, and as a tail no more.
	b.write(t, p)
	c.write(t, p)
	check(t, p, b, c, d)
	p.Release(&b.Table)
	p.Release(&c.Table)
	for _, want := range []struct {
		tokens []int32
		n      int
	}{{count(0, 14), 12}, {append(count(0, 10), 99, 98), 12}, {append(count(0, 10), 97, 96), 8}} {
		e, n := open(p, Key{}, want.tokens...)
		if n != want.n {
			t.Errorf("%v: matched %d, want %d", want.tokens, n, want.n)
		}
		p.Release(&e.Table)
	}
}

// The longest tail counts; those of other keys and other beginnings do not.
func TestTheLongestTailIsFound(t *testing.T) {
	p := New(32, 8, Options{Tails: true})
	for _, n := range []int32{9, 11, 14} {
		s := &sequence{tokens: count(0, n)} // computed although others are there: side by side with them
		s.write(t, p)
		p.Keep(&s.Table, s.tokens)
		p.Release(&s.Table)
	}
	for _, c := range []struct {
		key    Key
		tokens []int32
		want   int
	}{
		{Key{}, count(0, 16), 14}, {Key{}, count(0, 13), 11}, {Key{}, count(0, 10), 9}, {Key{}, append(count(0, 12), 99), 11}, {Key{}, count(0, 8), 8},
		{Key{}, count(1, 7), 0}, {Key{Salt: "x"}, count(0, 16), 0},
	} {
		s, n := open(p, c.key, c.tokens...)
		if n != c.want {
			t.Errorf("%v: matched %d, want %d", c.tokens, n, c.want)
		}
		p.Release(&s.Table)
		check(t, p)
	}
}
