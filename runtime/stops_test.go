package runtime

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// reference finds the stop string that ends first, the longest of those, in the whole text.
func firstStop(text string, stops []string) (before, stop string) {
	for end := 1; end <= len(text); end++ {
		for _, s := range stops {
			if strings.HasSuffix(text[:end], s) && len(s) > len(stop) {
				stop = s
			}
		}
		if stop != "" {
			return text[:end-len(stop)], stop
		}
	}
	return text, ""
}

// However the text is cut, what is given out is all that comes before the stop string, and never a part of it.
func TestStopMatcherAgainstWholeText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.StringOfN(rapid.SampledFrom([]rune("abäö€")), 0, 4, -1)
		stops := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune("abäö€")), 1, 5, -1), 1, 4).Draw(t, "stops")
		pieces := rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces")
		want, wantStop := firstStop(strings.Join(pieces, ""), stops)
		m := newStopMatcher(stops)
		got, fed := "", ""
		for _, p := range pieces {
			out, stop := m.feed(p)
			got, fed = got+out, fed+p
			if !strings.HasPrefix(want, got) {
				t.Fatalf("gave out %q, want a beginning of %q", got, want)
			}
			if stop != "" {
				if got != want || stop != wantStop {
					t.Fatalf("stopped at %q after %q, want %q after %q", stop, got, wantStop, want)
				}
				return
			}
			if kept := len(fed) - len(got); kept >= longest(stops) {
				t.Fatalf("kept %d bytes back", kept)
			}
			for _, r := range out {
				if r == '\ufffd' {
					t.Fatalf("piece %q is cut inside a character", out)
				}
			}
		}
		if got += m.rest(); got != want || wantStop != "" {
			t.Fatalf("gave out %q, want %q before %q", got, want, wantStop)
		}
	})
}

func longest(stops []string) int {
	n := 0
	for _, s := range stops {
		n = max(n, len(s))
	}
	return n
}

func TestStopMatcherKeepsBackNoMoreThanItMust(t *testing.T) {
	m := newStopMatcher([]string{"</s>", "\n\n"})
	for _, c := range []struct{ piece, out, stop string }{
		{"a", "a", ""},
		{"b<", "b", ""},
		{"/", "", ""},
		{"p", "</p", ""},
		{"\n", "", ""},
		{"<", "\n", ""},
		{"/s", "", ""},
		{"> more", "", "</s>"},
	} {
		if out, stop := m.feed(c.piece); out != c.out || stop != c.stop {
			t.Errorf("%q gave %q, %q, want %q, %q", c.piece, out, stop, c.out, c.stop)
		}
	}
	if rest := m.rest(); rest != "" {
		t.Errorf("%q is left", rest)
	}
}

// A pattern that nearly matches again and again takes time linear in the text.
func TestStopMatcherIsLinear(t *testing.T) {
	m := newStopMatcher([]string{strings.Repeat("a", 1000) + "b"})
	n := 0
	for range 2000 {
		out, _ := m.feed(strings.Repeat("a", 100))
		n += len(out)
	}
	if n != 200_000-1000 {
		t.Errorf("%d bytes given out", n)
	}
}
