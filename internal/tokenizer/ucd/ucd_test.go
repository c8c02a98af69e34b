package ucd

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"unicode"
	"unicode/utf8"
)

// reference.json was written by the reference library (its version is in the file): which code points each of its
// tests accepts, how it maps single code points, and how it normalizes strings of bases and marks.
type digest struct {
	Count  int
	SHA256 string
}

type reference struct {
	Properties map[string]digest
	Mappings   map[string]digest
	Strings    []map[string]string
}

func load(t *testing.T) reference {
	t.Helper()
	data, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref reference
	if err := json.Unmarshal(data, &ref); err != nil {
		t.Fatal(err)
	}
	return ref
}

func codePoints(yield func(rune) bool) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if utf8.ValidRune(r) && !yield(r) {
			return
		}
	}
}

// A Go release with newer Unicode tables makes this test fail: the new code points then need rows in ages.go.
func TestPropertiesOfEveryCodePoint(t *testing.T) {
	class := func(mask Class) func(rune) bool { return func(r rune) bool { return Table().Of(r)&mask != 0 } }
	tests := map[string]func(rune) bool{
		"regex.Lu": class(Lu), "regex.Ll": class(Ll), "regex.Lt": class(Lt), "regex.Lm": class(Lm), "regex.Lo": class(Lo),
		"regex.M": class(M), "regex.Nd": class(Nd), "regex.N": class(N), "regex.P": class(P), "regex.S": class(S),
		"regex.s": class(White), "word": IsWord, "space": IsSpace, "numeric": IsNumeric, "bert.punct": IsBertPunct,
		"bert.removed": func(r rune) bool {
			return r == 0xfffd || IsOther(r) && r != '\t' && r != '\n' && r != '\r'
		},
		"bert.mark": IsNonspacingMark, "combining": IsCombining,
	}
	for name, want := range load(t).Properties {
		hash, count := sha256.New(), 0
		for r := range codePoints {
			if tests[name](r) {
				fmt.Fprintf(hash, "%x\n", r)
				count++
			}
		}
		if got := hex.EncodeToString(hash.Sum(nil)); got != want.SHA256 {
			t.Errorf("%s: %d code points, the reference has %d (or others)", name, count, want.Count)
		}
	}
}

func TestMappingsOfEveryCodePoint(t *testing.T) {
	form := func(f Form) func(rune) []byte {
		return func(r rune) []byte {
			src := utf8.AppendRune(nil, r)
			if out, changed := f.Append(nil, src); changed {
				return out
			}
			return src
		}
	}
	maps := map[string]func(rune) []byte{
		"lower": func(r rune) []byte { return AppendLower(nil, r) },
		"NFC":   form(NFC), "NFD": form(NFD), "NFKC": form(NFKC), "NFKD": form(NFKD),
	}
	for name, want := range load(t).Mappings {
		hash, count := sha256.New(), 0
		for r := range codePoints {
			if out := maps[name](r); string(out) != string(r) {
				fmt.Fprintf(hash, "%x %s\n", r, out)
				count++
			}
		}
		if got := hex.EncodeToString(hash.Sum(nil)); got != want.SHA256 {
			t.Errorf("%s: changes %d code points, the reference %d (or to others)", name, count, want.Count)
		}
	}
}

func TestFormsOfStrings(t *testing.T) {
	forms := map[string]Form{"NFC": NFC, "NFD": NFD, "NFKC": NFKC, "NFKD": NFKD}
	for _, c := range load(t).Strings {
		for name, f := range forms {
			got, changed := f.Append([]byte("x"), []byte(c["text"]))
			if !changed {
				got = append(got, c["text"]...)
			}
			if string(got[1:]) != c[name] {
				t.Errorf("%s(%+q) = %+q, want %+q", name, c["text"], got[1:], c[name])
			}
		}
		var stripped []byte
		for _, r := range c["text"] {
			if !IsCombining(r) {
				stripped = utf8.AppendRune(stripped, r)
			}
		}
		if string(stripped) != c["StripAccents"] {
			t.Errorf("without combining marks %+q is %+q, want %+q", c["text"], stripped, c["StripAccents"])
		}
	}
}

// Normalizing twice changes nothing, also for a run of marks far longer than the stream-safe limit.
func TestFormsAreIdempotent(t *testing.T) {
	long := append([]byte("a"), bytes.Repeat([]byte("\u0323\u0301\u0345\u0327"), 5000)...)
	texts := [][]byte{long}
	for _, c := range load(t).Strings {
		texts = append(texts, []byte(c["text"]))
	}
	for _, text := range texts {
		for _, f := range []Form{NFC, NFD, NFKC, NFKD} {
			once, changed := f.Append(nil, text)
			if !changed {
				continue
			}
			if twice, again := f.Append(nil, once); again {
				t.Fatalf("%.40q: normalized to %.40q, again to %.40q", text, once, twice)
			}
		}
	}
}

func TestScripts(t *testing.T) {
	for _, c := range []struct {
		r    rune
		name string
	}{
		{'a', "Latin"}, {'京', "Han"}, {'い', "Hiragana"}, {'グ', "Katakana"}, {'ー', "Common"}, {'0', "Common"},
		{0x953, "Devanagari"}, {0x61c, "Common"}, {0xfffd, "Common"}, {0x301, "Inherited"}, {0x10ffff, ""}, {0x9fd6, ""},
	} {
		if got := ScriptOf(c.r); got != ScriptNamed(c.name) {
			t.Errorf("script of %U is number %d, want %q", c.r, got, c.name)
		}
	}
}

func BenchmarkBuildClasses(b *testing.B) {
	for b.Loop() {
		buildClasses()
	}
}
