package grammar

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Expressions on which backtracking takes time that doubles with each byte take one step a byte here: these texts would never be done with.
func TestNothingBacktracks(t *testing.T) {
	many := strings.Repeat("a", 50_000)
	for _, c := range []struct {
		regex, text string
		want        bool
	}{
		{`(a+)+$`, many, true},
		{`(a+)+$`, many + "b", false},
		{`(a|aa)+$`, many, true},
		{`(a|a)*b`, many, false},
		{`((a*)*)*b`, many + "b", true},
		{`(.*)*(.*)*x`, many, false},
		{`(a?){500}a{500}`, strings.Repeat("a", 500), true},
	} {
		g, err := compileSource(fuzzed(), &Source{Kind: Regex, Text: c.regex})
		if err != nil {
			t.Errorf("%s: %v", c.regex, err)
			continue
		}
		if got := g.Matches([]byte(c.text)); got != c.want {
			t.Errorf("%s takes %d bytes: %v", c.regex, len(c.text), got)
		}
	}
}

// A description may be large, but neither it nor what is made of it without end: it is refused, or compiled within memory that its limits allow.
func TestLargeDescriptions(t *testing.T) {
	const memory = 512 << 20 // allocated in all, most of it dropped meanwhile
	enum := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"value number %d"`, i*7919)
		}
		return `{"enum":[` + b.String()[1:] + `]}`
	}
	for name, c := range map[string]struct {
		kind    Kind
		text    string
		refused bool
	}{
		"enum of 10 MB":       {JSONSchema, enum(450_000), true},
		"enum of 800 KB":      {JSONSchema, enum(35_000), false},
		"oneOf 30 deep":       {JSONSchema, strings.Repeat(`{"oneOf":[true,`, 30) + `true` + strings.Repeat(`]}`, 30), false},
		"anyOf 12 times":      {JSONSchema, `{"allOf":[` + strings.Repeat(`{"anyOf":[{"maxLength":%d},{"type":"number"},{"minItems":%d}]},`, 11) + `true]}`, true},
		"objects 150 deep":    {JSONSchema, strings.Repeat(`{"properties":{"a":`, 150) + `true` + strings.Repeat(`}}`, 150), false},
		"alternatives":        {Regex, "a" + strings.Repeat("|a", 100_000), false},
		"counted repetitions": {Regex, strings.Repeat("(", 20) + "a" + strings.Repeat("{4000})", 20), true},
		"rules":               {EBNF, "root ::= r0\n" + chain(20_000), true},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if n := strings.Count(c.text, "%d"); n > 0 {
			var numbers []any
			for i := range n {
				numbers = append(numbers, i)
			}
			c.text = fmt.Sprintf(c.text, numbers...)
		}
		_, err := NewCompiler(fuzzed).Compile(Source{Kind: c.kind, Text: c.text})
		runtime.ReadMemStats(&after)
		var wrong *Error
		if err != nil && (!errors.As(err, &wrong) && !errors.Is(err, ErrTooLarge) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 1000) || c.refused && err == nil {
			t.Errorf("%s: %v", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > memory {
			t.Errorf("%s: %d MB were allocated", name, used>>20)
		}
	}
}

// chain makes rules of which each names the next.
func chain(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "r%d ::= \"a\" r%d\n", i, i+1)
	}
	return b.String() + fmt.Sprintf("r%d ::= \"b\"\n", n)
}
