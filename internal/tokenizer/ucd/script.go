package ucd

import (
	"sort"
	"sync"
	"unicode"
)

// Script numbers a script; only equality has a meaning. NoScript is what sentencepiece calls Any: unassigned
// in Unicode 9.0.
type Script uint8

// NoScript is the script of unassigned code points.
const NoScript Script = 0

var scriptNumbers = sync.OnceValue(func() map[string]Script {
	names := make([]string, 0, len(unicode.Scripts))
	for name := range unicode.Scripts {
		names = append(names, name)
	}
	sort.Strings(names)
	numbers := make(map[string]Script, len(names))
	for i, name := range names {
		numbers[name] = Script(i + 1)
	}
	return numbers
})

// changedScripts had another script in Unicode 9.0 than they have now.
var changedScripts = map[rune]string{0x589: "Common", 0x61c: "Common", 0x953: "Devanagari", 0x954: "Devanagari"}

type scriptSpan struct {
	lo, hi rune
	script Script
}

// scriptSpans are sorted and do not overlap.
var scriptSpans = sync.OnceValue(func() []scriptSpan {
	var spans []scriptSpan
	add := func(lo, hi, stride rune, s Script) {
		if stride == 1 {
			spans = append(spans, scriptSpan{lo, hi, s})
			return
		}
		for r := lo; r <= hi; r += stride {
			spans = append(spans, scriptSpan{r, r, s})
		}
	}
	for name, table := range unicode.Scripts {
		number := scriptNumbers()[name]
		for _, r := range table.R16 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride), number)
		}
		for _, r := range table.R32 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride), number)
		}
	}
	sort.Slice(spans, func(i, j int) bool { return spans[i].lo < spans[j].lo })
	return spans
})

// ScriptOf gives the script of r in Unicode 9.0.
func ScriptOf(r rune) Script {
	if name, ok := changedScripts[r]; ok {
		return scriptNumbers()[name]
	}
	if after9(r) {
		return NoScript
	}
	spans := scriptSpans()
	i := sort.Search(len(spans), func(i int) bool { return spans[i].hi >= r })
	if i < len(spans) && spans[i].lo <= r {
		return spans[i].script
	}
	return NoScript
}

// ScriptNamed gives the number of a script by its Unicode name, NoScript if there is none.
func ScriptNamed(name string) Script { return scriptNumbers()[name] }
