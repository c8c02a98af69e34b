package pattern

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// onig.json holds the matches that Oniguruma itself finds, in code points and without the empty ones: for every
// pattern, for every text.
type oracle struct {
	Texts    []string
	Patterns []struct {
		Pattern, Error string
		Matches        [][][2]int
	}
}

func loadOracle(t testing.TB) oracle {
	t.Helper()
	data, err := os.ReadFile("testdata/onig.json")
	if err != nil {
		t.Fatal(err)
	}
	var o oracle
	if err := json.Unmarshal(data, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// translated compiles a pattern the general way, without hand-written matchers.
func translated(t testing.TB, source string) *regex {
	t.Helper()
	tree, p, err := parse(source)
	if err != nil {
		t.Fatalf("%q: %v", source, err)
	}
	x, err := compileRegex(tree, p)
	if err != nil {
		t.Fatalf("%q: %v", source, err)
	}
	return x
}

func matches(t testing.TB, m Matcher, text string) []Span {
	t.Helper()
	spans, err := m.AppendMatches(nil, []byte(text))
	if err != nil {
		t.Fatalf("%T on %+q: %v", m, text, err)
	}
	return spans
}

func TestAgainstOniguruma(t *testing.T) {
	o := loadOracle(t)
	for _, p := range o.Patterns {
		fast, err := Compile(p.Pattern)
		if (err != nil) != (p.Error != "") {
			t.Errorf("%q: error %v, Oniguruma %q", p.Pattern, err, p.Error)
		}
		if err != nil {
			continue
		}
		slow := translated(t, p.Pattern)
		for i, text := range o.Texts {
			for _, m := range []Matcher{fast, slow} {
				var got [][2]int
				for _, s := range matches(t, m, text) {
					if s.Start < s.End {
						got = append(got, [2]int{utf8.RuneCountInString(text[:s.Start]), utf8.RuneCountInString(text[:s.End])})
					}
				}
				if !slices.Equal(got, p.Matches[i]) {
					t.Errorf("%T %q on %+q:\n got %v\nwant %v", m, p.Pattern, text, got, p.Matches[i])
				}
			}
		}
	}
}

// fragments are what random texts are made of: every class and case that the known patterns tell apart.
var fragments = []string{
	"a", "b", "Z", "HTTP", "ß", "ǅ", "ʰ", "é", "e\u0301", "\u0301", "\u0897", "日本", "ー", "ひ", "۔", "،", "7", "42", "٣", "½", "Ⅷ", "\U0001d7d8",
	" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2028", "\u200b", "'s", "'S", "'ſ", "'ll", "'Re", "'", "n't", ".", ",", "!", "(", "|", "[", "/",
	"//", "#", "_", "€", "𐐷", "😀", "\x00", "\u007f", "\ufffd", "\U0010ffff", "\ua7cb", "\U00010d40",
}

func randomText(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(24) {
		b.WriteString(fragments[r.IntN(len(fragments))])
	}
	return b.String()
}

func TestSplittersEqualTheirPatterns(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for source, fast := range splitters {
		slow := translated(t, source)
		for range 1500 {
			text := randomText(r)
			if got, want := matches(t, fast, text), matches(t, slow, text); !slices.Equal(got, want) {
				t.Fatalf("%q on %+q:\n got %v\nwant %v", source, text, got, want)
			}
		}
	}
}

func TestRunsEqualTheirPatterns(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, source := range []string{`\s+`, ` {2,}`, `\p{N}{1,3}`, `[0-9][0-9][0-9]`, `(?:[^\s])`, `(\w)+`, `[a-z&&[^b]]{2}`, `ab\n`, `(?i)s`} {
		fast, err := Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := fast.(*run); !ok {
			t.Errorf("%q compiles to %T, want a run", source, fast)
		}
		slow := translated(t, source)
		for range 300 {
			text := randomText(r)
			if got, want := matches(t, fast, text), matches(t, slow, text); !slices.Equal(got, want) {
				t.Fatalf("%q on %+q:\n got %v\nwant %v", source, text, got, want)
			}
		}
	}
}

func TestLiteral(t *testing.T) {
	for _, c := range []struct {
		literal, text string
		want          []Span
	}{
		{"ab", "abab ab", []Span{{0, 2}, {2, 4}, {5, 7}}},
		{"aa", "aaa", []Span{{0, 2}}},
		{"", "é!", []Span{{0, 0}, {2, 2}, {3, 3}}},
		{"x", "", nil},
	} {
		if got := matches(t, Literal(c.literal), c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q in %q: %v, want %v", c.literal, c.text, got, c.want)
		}
	}
}

// The empty literal is the empty pattern.
func TestEmptyMatches(t *testing.T) {
	for _, text := range []string{"", "a", "héb"} {
		if got, want := matches(t, Literal(""), text), matches(t, translated(t, "(?:)"), text); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestCatastrophicPatternTimesOut(t *testing.T) {
	x := translated(t, `(?:a|aa)+[^a]d`)
	x.compiled.MatchTimeout = 50 * time.Millisecond
	if _, err := x.AppendMatches(nil, []byte(strings.Repeat("a", 4000)+"c")); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v, want %v", err, ErrTimeout)
	}
}

func TestRefusedPatterns(t *testing.T) {
	for _, source := range []string{
		`(`, `(*`, `(?<`, `)`, `[`, `[a`, `a{3,2}`, `*a`, `\`, `(?<name>a)`, `\p{Nonsense}`, `\p{L`, `(?z)`, `\G`, `\k<1>`, `[z-a]`, `\x{110000}`,
		`a{100001}`, `a` + strings.Repeat("*", 12), strings.Repeat("(", 200) + "a" + strings.Repeat(")", 200),
		strings.Repeat("[", 200) + "a" + strings.Repeat("]", 200), strings.Repeat("a", 1<<15), strings.Repeat(`\p{L}`, 3000),
	} {
		if m, err := Compile(source); err == nil {
			t.Errorf("%.40q compiles to %T, want an error", source, m)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40q: error of several lines: %v", source, err)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, p := range loadOracle(f).Patterns {
		f.Add(p.Pattern, "Ab 12\n'Sé")
	}
	f.Fuzz(func(t *testing.T, source, text string) {
		m, err := Compile(source)
		if err != nil || !utf8.ValidString(text) || len(text) > 64 {
			return
		}
		if x, ok := m.(*regex); ok {
			x.compiled.MatchTimeout = 20 * time.Millisecond
		}
		spans, err := m.AppendMatches(nil, []byte(text))
		last := int32(0)
		for _, s := range spans {
			if err == nil && (s.Start < last || s.End < s.Start || int(s.End) > len(text) || !utf8.ValidString(text[s.Start:s.End])) {
				t.Fatalf("%q on %q: span %v after %d", source, text, s, last)
			}
			last = s.End
		}
	})
}

func BenchmarkSplitters(b *testing.B) {
	text := []byte(strings.Repeat("The quick brown fox, it's said, jumped over 1234 lazy dogs; größer als «früher».\n", 1000))
	for source, m := range splitters {
		name, _, _ := strings.Cut(source, "|")
		b.Run(name, func(b *testing.B) {
			var spans []Span
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				spans, _ = m.AppendMatches(spans[:0], text)
			}
		})
	}
}
