package compiler

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Gate is what the accuracy report of a build must hold to.
type Gate []GateRule

// GateRule bounds one figure of the report from above.
type GateRule struct {
	Figure string
	Bound  float64
	Strict bool // below, not at, the bound
}

// gateFigures are the figures of an accuracy report that a gate may bound, all of them errors relative to the weights.
var gateFigures = []struct {
	name string
	of   func(a *Accuracy) (value float64, where string)
}{
	{"weight_error", func(a *Accuracy) (float64, string) { return a.WeightError, "" }},
	{"worst", func(a *Accuracy) (float64, string) {
		if a.Worst == nil {
			return 0, ""
		}
		return a.Worst.Error, fmt.Sprintf(" (weight %q)", a.Worst.Name)
	}},
}

// ParseGate reads rules such as "weight_error<=0.01,worst<0.05". The empty text is no gate.
func ParseGate(text string) (Gate, error) {
	var gate Gate
	if text == "" {
		return nil, nil
	}
	for _, rule := range strings.Split(text, ",") {
		figure, bound, ok := strings.Cut(rule, "<")
		if !ok {
			return nil, fmt.Errorf("%q: expected FIGURE<=BOUND, such as weight_error<=0.01", rule)
		}
		r := GateRule{Figure: strings.TrimSpace(figure), Strict: true}
		if rest, ok := strings.CutPrefix(bound, "="); ok {
			r.Strict, bound = false, rest
		}
		if r.find() < 0 {
			return nil, fmt.Errorf("%q: there is no figure %q in the accuracy report, there are %s", rule, r.Figure, figureNames())
		}
		var err error
		if r.Bound, err = strconv.ParseFloat(strings.TrimSpace(bound), 64); err != nil || !(r.Bound >= 0) {
			return nil, fmt.Errorf("%q: %q is not a bound, a number of at least 0", rule, strings.TrimSpace(bound))
		}
		gate = append(gate, r)
	}
	return gate, nil
}

func (r GateRule) find() int {
	for i := range gateFigures {
		if gateFigures[i].name == r.Figure {
			return i
		}
	}
	return -1
}

func figureNames() string {
	var names []string
	for _, f := range gateFigures {
		names = append(names, f.name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (r GateRule) String() string {
	sign := "<="
	if r.Strict {
		sign = "<"
	}
	return fmt.Sprintf("%s%s%g", r.Figure, sign, r.Bound)
}

// check names the first rule that the report breaks.
func (g Gate) check(a *Accuracy) error {
	for _, r := range g {
		value, where := gateFigures[r.find()].of(a)
		if value < r.Bound || value == r.Bound && !r.Strict {
			continue
		}
		return fmt.Errorf("accuracy: %s is %.6g%s, the gate asks for %s: no plan was written; choose a finer --quant or a wider --gate",
			r.Figure, value, where, r)
	}
	return nil
}
