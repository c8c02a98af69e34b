package compiler

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Gate is what the accuracy report of a build must hold to.
type Gate []GateRule

// GateRule bounds one figure of the report from above.
type GateRule struct {
	Figure   string
	Bound    float64
	Strict   bool // below, not at, the bound
	Relative bool // the bound is by how many percent the figure may be above the unquantized model's
}

// gateFigures are the figures of an accuracy report that a gate may bound. Those of a text are there with a calibration alone.
var gateFigures = []struct {
	name string
	of   func(a *Accuracy) (value float64, where string)
	text bool
	ref  func(a *Accuracy) float64 // of the unquantized model; nil: it has none
}{
	{name: "weight_error", of: func(a *Accuracy) (float64, string) { return a.WeightError, "" }},
	{name: "worst", of: func(a *Accuracy) (float64, string) {
		return worst(a.Worst, func(w *WeightLoss) float64 { return w.Error })
	}},
	{name: "worst_output", text: true, of: func(a *Accuracy) (float64, string) {
		return worst(a.WorstOutput, func(w *WeightLoss) float64 { return w.Output })
	}},
	{name: "ppl", text: true, of: func(a *Accuracy) (float64, string) { return a.Text.PPL, "" }, ref: func(a *Accuracy) float64 { return *a.Text.PPLRef }},
	{name: "kl", text: true, of: func(a *Accuracy) (float64, string) { return *a.Text.KL, "" }},
}

func worst(w *WeightLoss, of func(*WeightLoss) float64) (float64, string) {
	if w == nil {
		return 0, ""
	}
	return of(w), fmt.Sprintf(" (weight %q)", w.Name)
}

// ParseGate reads rules such as "weight_error<=0.01,ppl<+2.5%". The empty text is no gate.
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
		if err := r.setBound(strings.TrimSpace(bound)); err != nil {
			return nil, fmt.Errorf("%q: %w", rule, err)
		}
		gate = append(gate, r)
	}
	return gate, nil
}

// setBound reads a number, or of figures that the unquantized model has too +PERCENT%.
func (r *GateRule) setBound(text string) error {
	number := text
	if rest, ok := strings.CutPrefix(text, "+"); ok {
		if number, ok = strings.CutSuffix(rest, "%"); !ok {
			return fmt.Errorf("%q is not a bound relative to the unquantized model, such as +2.5%%", text)
		}
		r.Relative = true
		if gateFigures[r.find()].ref == nil {
			return fmt.Errorf("%q: the unquantized model has no %s; give a number", text, r.Figure)
		}
	}
	var err error
	if r.Bound, err = strconv.ParseFloat(strings.TrimSpace(number), 64); err != nil || !(r.Bound >= 0) {
		return fmt.Errorf("%q is not a bound, a number of at least 0", text)
	}
	return nil
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
	if r.Relative {
		return fmt.Sprintf("%s%s+%g%%", r.Figure, sign, r.Bound)
	}
	return fmt.Sprintf("%s%s%g", r.Figure, sign, r.Bound)
}

// check names the first rule that the report breaks, and the weights that lose most.
func (g Gate) check(a *Accuracy) error {
	for _, r := range g {
		f := gateFigures[r.find()]
		if f.text && a.Text == nil {
			return fmt.Errorf("accuracy: %s was not measured", r.Figure)
		}
		value, where := f.of(a)
		bound := r.Bound
		if r.Relative {
			ref := f.ref(a)
			bound = ref * (1 + r.Bound/100)
			where += fmt.Sprintf(" (%+.3g%% from %.6g)", 100*(value/ref-1), ref)
		}
		if value < bound || value == bound && !r.Strict {
			continue
		}
		return fmt.Errorf("accuracy: %s is %.6g%s, the gate asks for %s: no plan was written%s; choose a finer --quant for all or by --override for these, or a wider --gate",
			r.Figure, value, where, r, a.blame())
	}
	return nil
}

// blamed is how many weights a message names.
const blamed = 5

// blame names the weights whose products lose most, worst first; without a calibration those that differ most.
func (a *Accuracy) blame() string {
	of, what := func(w *WeightLoss) float64 { return w.Error }, "weights"
	if a.WorstOutput != nil {
		of, what = func(w *WeightLoss) float64 { return w.Output }, "outputs"
	}
	all := slices.Clone(a.Weights)
	slices.SortStableFunc(all, func(x, y WeightLoss) int { return cmp.Compare(of(&y), of(&x)) })
	var names []string
	for i := range all[:min(blamed, len(all))] {
		names = append(names, fmt.Sprintf("%s %.1f%%", all[i].Name, 100*of(&all[i])))
	}
	if len(names) == 0 {
		return ""
	}
	return ", the worst " + what + " are of " + strings.Join(names, ", ")
}
