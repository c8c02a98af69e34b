package passes

import (
	"slices"
	"testing"
)

func TestOrderOfPasses(t *testing.T) {
	place := map[string]int{}
	for i, name := range Names() {
		if _, again := place[name]; again {
			t.Errorf("two passes are called %s", name)
		}
		place[name] = i
	}
	for _, o := range order {
		before, known := place[o.before]
		after, alsoKnown := place[o.after]
		if !known || !alsoKnown || o.why == "" {
			t.Errorf("constraint %q before %q names no pass or gives no reason", o.before, o.after)
		}
		if before >= after {
			t.Errorf("%s must come before %s: %s", o.before, o.after, o.why)
		}
	}
	var have []Property
	for i := range Table {
		p := &Table[i]
		for _, need := range p.Requires {
			if !slices.Contains(have, need) {
				t.Errorf("%s requires %v, which no earlier pass establishes", p.Name, need)
			}
		}
		have = append(have, p.Establishes...)
		if p.Doc == "" || p.Run == nil && len(p.Rules) == 0 {
			t.Errorf("%s: row is incomplete", p.Name)
		}
	}
	for p := range properties {
		if !slices.Contains(have, Property(p)) {
			t.Errorf("no pass establishes %v", Property(p))
		}
	}
}

func TestRulesFitTheOpTable(t *testing.T) {
	for i := range Table {
		for k := range Table[i].Rules {
			r := &Table[i].Rules[k]
			if _, err := compile(r); err != nil {
				t.Error(err)
			}
		}
	}
	names := append(RuleNames(), Names()...)
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("a name is used twice: %v", names)
	}
}

func TestBadRulesAreRefused(t *testing.T) {
	for _, r := range []Rule{
		{Match: "(silux x)", Replace: "x"},
		{Match: "(silu x", Replace: "x"},
		{Match: "(silu x) y", Replace: "x"},
		{Match: "(silu x y)", Replace: "x"},
		{Match: "(mul x)", Replace: "x"},
		{Match: "x", Replace: "x"},
		{Match: "(silu x)", Replace: "y"},
		{Match: "(scale x {bye=1})", Replace: "x"},
		{Match: "(scale x {by=one})", Replace: "x"},
		{Match: "(scale x {by=$a})", Replace: "(scale x {by=$b})"},
		{Match: "(silu x)#1", Replace: "x"},
		{Match: "(silu x)", Replace: "x", Gives: []string{"y"}},
		{Match: "s=(silu x)", Replace: "(silu x)", Gives: []string{"s", "x"}},
	} {
		if _, err := compile(&r); err == nil {
			t.Errorf("accepted %s -> %s", r.Match, r.Replace)
		}
	}
}
