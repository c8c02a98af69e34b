package ptx

import "strings"

// formRule is what a form's name says of its results, found once: a walk asks of every instruction, several times.
type formRule struct {
	level  func(operands Uniformity) Uniformity
	number func([]congruence) congruence // nil: nothing is known

	special     bool // a special register: its name says it
	lane        bool // shfl.sync.idx
	ends        bool // ret or exit
	symbol      bool // the address of a symbol
	pointer     bool // a parameter that is a pointer
	keepsRegion bool
}

func (a *analysis) rule(f *Form) formRule {
	rule, ok := a.rules[f]
	if ok {
		return rule
	}
	rule = formRule{
		level:   func(operands Uniformity) Uniformity { return operands },
		number:  numberRule(f),
		special: strings.HasSuffix(f.Name, "/special"), lane: strings.HasPrefix(f.Name, "shfl.sync.idx"), ends: f.Name == "ret" || f.Name == "exit",
		symbol: strings.HasSuffix(f.Name, "/symbol"), pointer: f.Name == "ld.param.u64/pointer", keepsRegion: keepsRegion(f),
	}
	for _, row := range levelRules {
		if strings.HasPrefix(f.Name, row.prefix) {
			rule.level = row.level
			break
		}
	}
	a.rules[f] = rule
	return rule
}
