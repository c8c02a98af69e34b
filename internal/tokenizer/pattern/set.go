package pattern

import (
	"slices"
	"strings"
	"sync"
	"unicode"

	"llmc/internal/tokenizer/ucd"
)

// A set is a set of code points: sorted ranges lo..hi that neither overlap nor touch.
type set [][2]rune

func setOf(runes ...rune) set {
	var s set
	for _, r := range runes {
		s = append(s, [2]rune{r, r})
	}
	return s.normalize()
}

var anySet = set{{0, unicode.MaxRune}}

// normalize sorts the ranges and joins those that overlap or touch.
func (s set) normalize() set {
	slices.SortFunc(s, func(a, b [2]rune) int { return int(a[0]) - int(b[0]) })
	out := s[:0]
	for _, r := range s {
		if n := len(out); n > 0 && r[0] <= out[n-1][1]+1 {
			out[n-1][1] = max(out[n-1][1], r[1])
		} else {
			out = append(out, r)
		}
	}
	return out
}

func (s set) union(t set) set { return slices.Concat(s, t).normalize() }

func (s set) negate() set {
	var out set
	next := rune(0)
	for _, r := range s {
		if r[0] > next {
			out = append(out, [2]rune{next, r[0] - 1})
		}
		next = r[1] + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, [2]rune{next, unicode.MaxRune})
	}
	return out
}

func (s set) intersect(t set) set { return s.negate().union(t.negate()).negate() }

func (s set) contains(r rune) bool {
	i, _ := slices.BinarySearchFunc(s, r, func(a [2]rune, r rune) int { return int(a[1]) - int(r) })
	return i < len(s) && s[i][0] <= r
}

// cased lists the code points that have another of the same case folding.
var cased = sync.OnceValue(func() []rune {
	var list []rune
	for r := rune(0); r < 0x1f000; r++ { // no cased character lies above
		if unicode.SimpleFold(r) != r {
			list = append(list, r)
		}
	}
	return list
})

// fold adds every code point that equals one of s when case is ignored.
func (s set) fold() set {
	out := slices.Clone(s)
	if len(s) == 1 && s[0][0] == s[0][1] {
		for f := unicode.SimpleFold(s[0][0]); f != s[0][0]; f = unicode.SimpleFold(f) {
			out = append(out, [2]rune{f, f})
		}
		return out.normalize()
	}
	for _, r := range cased() {
		if s.contains(r) {
			for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
				out = append(out, [2]rune{f, f})
			}
		}
	}
	return out.normalize()
}

func tables(list ...*unicode.RangeTable) set {
	var s set
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			s = append(s, [2]rune{lo, hi})
			return
		}
		for r := lo; r <= hi; r += stride {
			s = append(s, [2]rune{r, r})
		}
	}
	for _, t := range list {
		for _, r := range t.R16 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
		for _, r := range t.R32 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
	}
	return s.normalize()
}

func class(mask ucd.Class) set { return ucd.Table().Spans(mask) }

// named lists the properties that Go's tables lack or that ucd has in a newer version, by folded name.
var named = map[string]func() set{
	"any":        func() set { return anySet },
	"ascii":      func() set { return set{{0, unicode.MaxASCII}} },
	"l":          func() set { return class(ucd.L) },
	"letter":     func() set { return class(ucd.L) },
	"lu":         func() set { return class(ucd.Lu) },
	"ll":         func() set { return class(ucd.Ll) },
	"lt":         func() set { return class(ucd.Lt) },
	"lm":         func() set { return class(ucd.Lm) },
	"lo":         func() set { return class(ucd.Lo) },
	"lc":         func() set { return class(ucd.Lu | ucd.Ll | ucd.Lt) },
	"m":          func() set { return class(ucd.M) },
	"mark":       func() set { return class(ucd.M) },
	"n":          func() set { return class(ucd.N) },
	"number":     func() set { return class(ucd.N) },
	"nd":         func() set { return class(ucd.Nd) },
	"digit":      func() set { return class(ucd.Nd) },
	"p":          func() set { return class(ucd.P) },
	"punct":      func() set { return class(ucd.P) },
	"s":          func() set { return class(ucd.S) },
	"symbol":     func() set { return class(ucd.S) },
	"space":      func() set { return class(ucd.White) },
	"whitespace": func() set { return class(ucd.White) },
	"word":       buildWord,
	"alpha":      alphaSet,
	"alphabetic": alphaSet,
	"alnum":      func() set { return alphaSet().union(class(ucd.Nd)) },
	"upper":      func() set { return class(ucd.Lu).union(tables(unicode.Other_Uppercase)) },
	"lower":      func() set { return class(ucd.Ll).union(tables(unicode.Other_Lowercase)) },
	"cntrl":      func() set { return tables(unicode.Cc) },
	"blank":      func() set { return tables(unicode.Zs).union(setOf('\t')) },
	"xdigit":     func() set { return set{{'0', '9'}, {'A', 'F'}, {'a', 'f'}} },
}

// scripts16 lists what scripts in daily use gained with Unicode 15.1 and 16.0. Finer categories than those of package
// ucd (\p{Mn}) and other scripts are those of Go's tables.
var scripts16 = map[string]set{
	"arabic":   {{0x897, 0x897}, {0x10ec2, 0x10ec4}, {0x10efc, 0x10efc}},
	"balinese": {{0x1b4e, 0x1b4f}, {0x1b7f, 0x1b7f}},
	"cyrillic": {{0x1c89, 0x1c8a}},
	"han":      {{0x2ebf0, 0x2ee5d}},
	"latin":    {{0xa7cb, 0xa7cd}, {0xa7da, 0xa7dc}},
	"myanmar":  {{0x116d0, 0x116e3}},
}

// alphabetic16 are the marks that Unicode 16.0 counts as Alphabetic and Go's tables do not.
var alphabetic16 = set{
	{0x363, 0x36f}, {0x897, 0x897}, {0x1dd3, 0x1de6}, {0x10d69, 0x10d69}, {0x10efc, 0x10efc}, {0x113b8, 0x113c0},
	{0x113c2, 0x113c2}, {0x113c5, 0x113c5}, {0x113c7, 0x113ca}, {0x113cc, 0x113cd}, {0x1611e, 0x1612e},
}

func wordSet() set {
	s, _ := property("word")
	return s
}

// buildWord is \w: Alphabetic, M, Nd and Pc, without the joiners that UTS #18 adds.
func buildWord() set {
	return class(ucd.L | ucd.M | ucd.Nd).union(tables(unicode.Nl, unicode.Other_Alphabetic, unicode.Pc))
}

func alphaSet() set {
	return class(ucd.L).union(tables(unicode.Nl, unicode.Other_Alphabetic)).union(alphabetic16)
}

// foldName removes what property names ignore: case, spaces, hyphens and underscores.
func foldName(name string) string {
	return strings.ToLower(strings.NewReplacer(" ", "", "-", "", "_", "").Replace(name))
}

// goTables finds Go's own tables (categories under short and long names, scripts, properties) by folded name.
var goTables = sync.OnceValue(func() map[string]*unicode.RangeTable {
	found := map[string]*unicode.RangeTable{}
	for _, tables := range []map[string]*unicode.RangeTable{unicode.Properties, unicode.Scripts, unicode.Categories} {
		for name, table := range tables {
			found[foldName(name)] = table
		}
	}
	for alias, name := range unicode.CategoryAliases {
		found[foldName(alias)] = unicode.Categories[name]
	}
	return found
})

// properties remembers the sets of names seen; a set never changes once built.
var properties sync.Map

// property gives the set of a \p{name}.
func property(name string) (set, bool) {
	folded := foldName(name)
	if s, ok := properties.Load(folded); ok {
		return s.(set), true
	}
	s, ok := buildProperty(folded)
	if ok {
		properties.Store(folded, s)
	}
	return s, ok
}

func buildProperty(folded string) (set, bool) {
	if build, ok := named[folded]; ok {
		return build(), true
	}
	if folded == "c" || folded == "other" {
		return class(ucd.L | ucd.M | ucd.N | ucd.P | ucd.S).union(tables(unicode.Z)).negate(), true
	}
	if t, ok := goTables()[folded]; ok {
		return tables(t).union(scripts16[folded]), true
	}
	return nil, false
}

// posix gives the set of a [[:name:]]; two names differ from the property so called.
func posix(name string) (set, bool) {
	switch name {
	case "punct":
		return class(ucd.P | ucd.S), true
	case "graph", "print":
		graph := class(ucd.L | ucd.M | ucd.N | ucd.P | ucd.S).union(tables(unicode.Cf, unicode.Co))
		if name == "print" {
			graph = graph.union(tables(unicode.Zs))
		}
		return graph, true
	case "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "lower", "space", "upper", "word", "xdigit":
		return property(name)
	}
	return nil, false
}
