package draft

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// learned returns costs that have seen steps of all sizes up to most.
func learned(most int, seconds func(tokens int) float64) *Costs {
	c := &Costs{}
	for range believed {
		for n := 1; n <= most; n++ {
			c.Observe(n, seconds(n))
		}
	}
	return c
}

// bound is a machine where so many tokens are free beside the first.
func bound(free int) func(tokens int) float64 {
	return func(tokens int) float64 { return float64(max(1, tokens-free)) }
}

// TestAllotIsTheBest compares what is allotted with every other way to give sequences the likeliest guesses first.
func TestAllotIsTheBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Load{Tokens: rapid.IntRange(1, 6).Draw(t, "tokens"), Room: rapid.IntRange(0, 12).Draw(t, "room")}
		l.Yields = l.Tokens
		table := make([]float64, 64)
		at := 1.0
		for i := range table {
			at += rapid.Float64Range(0, 1).Draw(t, "more")
			table[i] = at
		}
		l.Verify = learned(31, func(n int) float64 { return table[n] })
		if rapid.Bool().Draw(t, "model") {
			l.Model = learned(31, func(n int) float64 { return table[n] / 8 })
		}
		asks := make([]Ask, rapid.IntRange(1, l.Tokens).Draw(t, "asks"))
		for i := range asks {
			chance := rapid.Float64Range(0.01, 1)
			asks[i] = Ask{Most: rapid.IntRange(0, 5).Draw(t, "most"), Chance: Chance{chance.Draw(t, "first"), chance.Draw(t, "rest")}}
		}
		with, without := l.Allot(asks)
		if math.Abs(without-rate(&l, nil)) > 1e-6 || with < without {
			t.Fatalf("%v with, %v without", with, without)
		}
		takes, sum := make([]int, len(asks)), 0
		for i := range asks {
			takes[i] = asks[i].Take
			if sum += takes[i]; takes[i] < 0 || takes[i] > asks[i].Most {
				t.Fatalf("%+v", asks[i])
			}
		}
		if got := rateOf(&l, asks, takes); sum > l.Room || math.Abs(got-with) > 1e-6*with {
			t.Fatalf("%d guesses in room for %d: a rate of %v, said to be %v", sum, l.Room, got, with)
		}
		// No single guess more or less is better, where the order of chances allows it.
		for i := range asks {
			if takes[i] > 0 && likelyLast(asks, i) {
				takes[i]--
				if better := rateOf(&l, asks, takes); better > with*(1+1e-9) {
					t.Fatalf("without the last guess of %d the rate is %v, not %v", i, better, with)
				}
				takes[i]++
			}
		}
	})
}

// likelyLast tells whether the last guess that sequence i takes is the least likely of all that are taken.
func likelyLast(asks []Ask, i int) bool {
	last := func(a *Ask) float64 {
		return a.Chance.First * math.Pow(a.Chance.Rest, float64(a.Take-1))
	}
	for j := range asks {
		if j != i && asks[j].Take > 0 && last(&asks[j]) <= last(&asks[i]) {
			return false
		}
	}
	return true
}

func rate(l *Load, asks []Ask) float64 { return rateOf(l, asks, make([]int, len(asks))) }

// rateOf computes tokens a second anew.
func rateOf(l *Load, asks []Ask, takes []int) float64 {
	yield, tokens := float64(l.Yields), l.Tokens
	depths := map[int]int{}
	for i, n := range takes {
		chance := asks[i].Chance.First
		for d := range n {
			yield += chance
			chance *= asks[i].Chance.Rest
			depths[d]++
			tokens++
		}
	}
	cost := l.Verify.Of(tokens)
	for _, n := range depths {
		if l.Model != nil {
			cost += l.Model.Of(n)
		}
	}
	return yield / cost
}

// TestGuessesStopPaying wants many guesses where rows are free, few where they are not, none where a step's time is all arithmetic.
func TestGuessesStopPaying(t *testing.T) {
	for _, c := range []struct {
		name            string
		free, sequences int
		chance          float64
		least, most     int // guesses in all
	}{
		{"free rows, likely", 16, 1, 0.9, 12, 16},
		{"free rows, unlikely", 16, 1, 0.05, 1, 16},
		{"no free rows, sure", 0, 1, 0.99, 0, 1},
		{"many sequences", 16, 30, 0.9, 0, 0},
		{"some sequences", 16, 8, 0.9, 6, 9},
	} {
		l := Load{Tokens: c.sequences, Yields: c.sequences, Room: 32, Verify: learned(32, bound(c.free))}
		asks := make([]Ask, c.sequences)
		for i := range asks {
			asks[i] = Ask{Most: 16, Chance: Chance{c.chance, c.chance}}
		}
		l.Allot(asks)
		sum := 0
		for i := range asks {
			sum += asks[i].Take
		}
		if sum < c.least || sum > c.most {
			t.Errorf("%s: %d guesses", c.name, sum)
		}
	}
}

// TestCosts wants medians of what was seen, something between where nothing was, and one bad step not to be believed.
func TestCosts(t *testing.T) {
	var c Costs
	if c.Of(1) != 0 || c.Known(1) {
		t.Error("something is known of nothing")
	}
	c = *learned(8, func(n int) float64 { return 10 + float64(n) })
	for n, want := range map[int]float64{1: 11, 8: 18} {
		if got := c.Of(n); math.Abs(got-want) > 1e-5 {
			t.Errorf("a step of %d takes %v, want %v", n, got, want)
		}
	}
	if got := c.Of(16); got < 18 || got > 60 {
		t.Errorf("a step of 16 takes %v", got)
	}
	before := c.Of(12)
	c.Observe(12, 500)
	if got := c.Of(12); got > 1.1*before {
		t.Errorf("one slow step of 12 raised %v to %v", before, got)
	}
	c.Observe(1, 900)
	if got := c.Of(1); got != 11 {
		t.Errorf("one slow step of 1 raised 11 to %v", got)
	}
	for range memory + 1 {
		c.Observe(2, 5)
	}
	if c.Known(8) || math.Abs(c.Of(2)-5) > 1e-6 {
		t.Errorf("old steps are remembered, new ones take %v", c.Of(2))
	}
	for _, n := range []int{0, -1, 1 << 30} {
		c.Observe(n, 1) // of no size that there is
	}
	c.Observe(3, math.NaN())
	if got := c.Of(3); !(got > 0) {
		t.Errorf("a step of 3 takes %v", got)
	}
}

// TestRates wants chances to follow what a sequence does, others' experience to count at first, and guesses behind a wrong one not to count.
func TestRates(t *testing.T) {
	var all, a, b Rates
	begin := a.Chance(&all, Match4)
	for range 40 {
		a.Record(&all, Match4, 4, 4)
	}
	if c := a.Chance(&all, Match4); c.First < 0.85 || c.Rest < 0.9 {
		t.Errorf("always right: %+v", c)
	}
	if c := b.Chance(&all, Match4); c.First <= begin.First {
		t.Errorf("the experience of others: %+v, before %+v", c, begin)
	}
	for range 40 {
		b.Record(&all, Match4, 4, 0)
	}
	c := b.Chance(&all, Match4)
	if c.First > 0.15 || c.Rest < 0.5 {
		t.Errorf("the first is always wrong: %+v", c)
	}
	if other := b.Chance(&all, Match16); other != (Chance{untried[Match16].First, untried[Match16].Rest}) {
		t.Errorf("another class has changed: %+v", other)
	}
	for range 200 {
		all.Fade()
	}
	if c := new(Rates).Chance(&all, Match4); math.Abs(c.First-begin.First) > 1e-3 {
		t.Errorf("experience that has faded: %+v", c)
	}
}
