package grammar

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// middlingVocabulary is large enough for all that masks are made of, and small enough to try every token.
func middlingVocabulary() (v *Vocabulary, texts [][]byte, end int32) {
	texts = append(largeTexts(4500), []byte("(("), []byte("(a"), []byte(" ("), []byte(") {"), []byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
	end = int32(len(texts))
	return NewVocabulary(len(texts)+1, func(id int32) Token {
		if id == end {
			return Token{}
		}
		return Token{texts[id], texts[id]}
	}, []int32{end}), texts, end
}

// TestPlacesAreWhatEveryTokenSays is TestMasksAreWhatEveryTokenSays for the descriptions that are measured, with a vocabulary that is large enough for all that masks are made
// of: folded trees, exits with many ways on, masks that are made ahead.
func TestPlacesAreWhatEveryTokenSays(t *testing.T) {
	defer func(usual int) { mergedFrom = usual }(mergedFrom)
	mergedFrom = 4
	v, texts, end := middlingVocabulary()
	for i, s := range placeSources() {
		if slices.Contains([]string{"choice of 10000", "length 0 to 5000", "regex counted"}, s.name) { // their states take long to make, and are like those of others
			continue
		}
		g, err := newTest(v, s.Source)
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		if i%2 == 0 {
			<-g.prepared
		}
		defer func() { <-g.prepared }()
		comparePlaces(t, s.name, g, texts, end, rand.New(rand.NewPCG(uint64(i), 9)))
	}
}

// comparePlaces takes a random way through a grammar and reads a fifth of all tokens at each place.
func comparePlaces(t *testing.T, name string, g *Grammar, texts [][]byte, end int32, r *rand.Rand) {
	anew := newWalker(g.walker.program, g.v)
	m, at := g.Start(), anew.begin(0)
	for step := range 14 {
		allowed := m.Allowed(nil)
		for id := step % 5; id < len(texts); id += 5 {
			if has, want := allowed[id/32]>>(id%32)&1 == 1, anew.read(at, texts[id]) != dead; has != want {
				t.Fatalf("%s: step %d, token %q: allowed %v, want %v", name, step, texts[id], has, want)
			}
		}
		if has := allowed[end/32]>>(end%32)&1 == 1; has != at.leaves {
			t.Fatalf("%s: step %d: the end is allowed: %v, want %v", name, step, has, at.leaves)
		}
		id := drawToken(r, g.v, allowed)
		if id < 0 {
			return
		}
		at = anew.read(at, texts[id])
		if m.Accept(id) != Open {
			return
		}
	}
}

// TestAlikeStates reads random texts from states that are said to be alike: both take them or neither does, and end the rule behind them or do not.
func TestAlikeStates(t *testing.T) {
	const longest = 5
	for _, source := range []string{`[ab]{3,40}`, `(a|bc){0,30}(é|b)?`, `([ab]{2,9},){1,12}x`, `(ab?c*){20}|a{7,60}`, `"([^"\\\x00-\x1f]|\\["n]){0,500}"`} {
		root, err := regex(source)
		if err != nil {
			t.Fatal(err)
		}
		d := determinize(newNFA(newWork(), root.body))
		d.prune(func(int32) bool { return true })
		same := d.alike(longest)
		if same == nil {
			t.Errorf("%s: no states are alike", source)
			continue
		}
		names := map[int32]bool{}
		r := rand.New(rand.NewPCG(1, 7))
		for at, other := range same {
			names[other] = true
			for range 20 {
				a, b := int32(at), other
				for range longest {
					c := []byte("abcx,\"\\né\xa9")[r.IntN(11)]
					if a, b = d.next(a, c), d.next(b, c); (a < 0) != (b < 0) || a >= 0 && d.states[a].final != d.states[b].final {
						t.Fatalf("%s: states %d and %d are told apart by a text of at most %d bytes", source, at, other, longest)
					}
					if a < 0 {
						break
					}
				}
			}
		}
		if most := 200; len(names) > most || len(names) == len(same) {
			t.Errorf("%s: %d states of %d are different", source, len(names), len(same))
		}
	}
}

// TestMasksAreMadeAhead wants nothing to be left to do of what places allow by themselves, once that has been prepared.
func TestMasksAreMadeAhead(t *testing.T) {
	v, _, _ := middlingVocabulary()
	g, err := newTest(v, Source{Kind: JSONSchema, Text: `{"type":"object","properties":{"a":{"type":"integer"},"b":{"enum":["x","yz"]}},"required":["a","b"]}`})
	if err != nil {
		t.Fatal(err)
	}
	<-g.prepared
	made := v.bytes()
	m := g.Start()
	for range 40 {
		var ids []int32
		for id, allowed := int32(0), m.Allowed(nil); int(id) < v.size; id++ {
			if allowed[id/32]>>(id%32)&1 == 1 && !slices.Contains(v.ends, id) {
				ids = append(ids, id)
			}
		}
		if m.Accept(ids[len(ids)/2]) != Open {
			break
		}
	}
	if now := v.bytes(); now != made || made == 0 {
		t.Errorf("places take %d bytes, %d before the output", now, made)
	}
}

// TestKeptMasksAreBounded wants what is in use to stay while more comes by than is kept.
func TestKeptMasksAreBounded(t *testing.T) {
	k := newKeptMasks()
	used := placeName{at: -1}
	k.hold(nil, used, &localMask{})
	e := &exit{}
	k.hold(e, used, &localMask{})
	for at := range int32(200) {
		k.hold(nil, placeName{at: at}, &localMask{bits: make([]uint32, 1<<18)})
		if k.find(nil, used) == nil {
			t.Fatalf("what is in use is gone after %d masks", at)
		}
		if n := k.young.bytes + k.old.bytes; n > heldLocal {
			t.Fatalf("%d bytes are kept", n)
		}
	}
	if k.find(nil, placeName{at: 0}) != nil || e.then != nil {
		t.Error("what nobody asks for is kept for ever")
	}
}

// TestExitsOfMergedWays leaves a rule behind two exits of another at once, of whose ways on one is merged and one is not.
func TestExitsOfMergedWays(t *testing.T) {
	defer func(usual int) { mergedFrom = usual }(mergedFrom)
	mergedFrom = 2
	texts := [][]byte{nil}
	for _, s := range []string{"a", "b", "x", "y", "z", "axz", "axw", "ayz", "ayyz", "ayw", "byz", "byyz", "byw"} {
		texts = append(texts, []byte(s))
	}
	v := NewVocabulary(len(texts), func(id int32) Token { return Token{texts[id], texts[id]} }, []int32{endToken})
	g, err := newTest(v, Source{Kind: EBNF, Text: "root ::= name tail \"z\"\nname ::= [a-tA-Z]+\ntail ::= [xy]+"})
	if err != nil {
		t.Fatal(err)
	}
	allowed := g.Start().Allowed(nil)
	for id, want := range map[int32]bool{1: true, 2: true, 3: false, 6: true, 7: false, 8: true, 9: true, 10: false, 11: true, 12: true, 13: false} {
		if has := allowed[0]>>id&1 == 1; has != want {
			t.Errorf("token %q: allowed %v, want %v", texts[id], has, want)
		}
	}
}

// TestShiftsHavePauses wants what is made ahead to pause for twice as long as it has worked, and to count its work alone.
func TestShiftsHavePauses(t *testing.T) {
	now := time.Unix(1, 0)
	s := shift{begun: now}
	worked, paused := time.Duration(0), time.Duration(0)
	for i := range 100 {
		took := time.Duration(1+i%7) * aheadSlice / 4
		now, worked = now.Add(took), worked+took
		pause := s.pause(now)
		if slice := now.Sub(s.begun); (pause == 0) != (slice < aheadSlice) {
			t.Fatalf("a pause of %v after %v of work", pause, slice)
		}
		if pause > 0 {
			now, paused = now.Add(pause), paused+pause
			s.begun = now
			if s.worked != worked || paused != aheadPause*worked {
				t.Fatalf("%v of work are counted, want %v, with %v of pauses", s.worked, worked, paused)
			}
		}
	}
	if paused == 0 {
		t.Error("no pause")
	}
}

// TestDeepPlacesShareMasks opens more brackets than a token can close: one more of them makes no new mask.
func TestDeepPlacesShareMasks(t *testing.T) {
	v, texts, _ := middlingVocabulary()
	g, err := newTest(v, Source{Kind: EBNF, Text: `root ::= [a-z]+ | "(" root ")"`})
	if err != nil {
		t.Fatal(err)
	}
	<-g.prepared
	open := int32(slices.IndexFunc(texts, func(text []byte) bool { return string(text) == "(" }))
	m := g.Start()
	var before []uint32
	for depth := range 3 * v.longest {
		if m.Accept(open) != Open {
			t.Fatalf("%d brackets are not allowed", depth+1)
		}
		now := m.Allowed(nil)
		if depth > v.longest && &now[0] != &before[0] {
			t.Fatalf("the mask behind %d brackets is another than that behind %d", depth+1, depth)
		}
		before = now
	}
}
