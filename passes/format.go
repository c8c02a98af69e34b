package passes

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/ir"
)

// Policy chooses the format of each matrix of weights, by the names of package quant. Empty fields keep what the
// checkpoint has, except that Output and Embed follow Linear. Vectors and frequencies are always f32.
type Policy struct {
	Linear string // linears
	Output string // the matrix that gives the logits, also when it is the embedding table too
	Embed  string // a table that is only looked up
	// Overrides name single weights; the first pattern (of path.Match) that fits a weight's name decides.
	Overrides []Override
	// KeepStored leaves weights that the checkpoint has in codes as they are, whatever the fields above say; overrides count.
	KeepStored bool
	// Requantize allows that such weights are rounded to other codes.
	Requantize bool
}

// Override is the format of the weights whose names fit a pattern.
type Override struct{ Pattern, Format string }

// role is what a matrix of weights is used for.
type role uint8

const (
	roleLinear role = iota
	roleOutput
	roleEmbed
	rolePlain // never codes: see plain
)

// format returns the name of the format for a weight, "" to keep what it has.
func (p *Policy) format(w *ir.Weight, r role) (string, error) {
	for _, o := range p.Overrides {
		fits, err := path.Match(o.Pattern, w.Name)
		if err != nil {
			return "", fmt.Errorf("pattern %q of a format override: %w", o.Pattern, err)
		}
		if fits {
			return o.Format, nil
		}
	}
	if r == rolePlain {
		return p.plain()
	}
	byRole := map[role]string{roleLinear: p.Linear, roleOutput: p.Output, roleEmbed: p.Embed}
	if name := byRole[r]; name != "" {
		return name, nil
	}
	return p.Linear, nil
}

// FormatFor returns the format that a name stands for on a target, which may be nil.
func FormatFor(t Target, name string) (*quant.Format, error) {
	if t == nil {
		return quant.Find(name)
	}
	return quant.FindFor(name, func(f *quant.Format) bool {
		_, err := t.InputFormat(f)
		return err == nil
	})
}

// storedFormat is format for a weight that the checkpoint has in codes.
func (p *Policy) storedFormat(w *ir.Weight, r role) (string, error) {
	if !p.KeepStored {
		return p.format(w, r)
	}
	overridden := Policy{Overrides: p.Overrides}
	return overridden.format(w, r)
}

// plain is the format of a matrix whose products choose experts or scale what one gives, and of a table of positions: that of linears, but for codes, whose errors would send
// rows elsewhere or add to every row, and of which so small a matrix saves nothing.
func (p *Policy) plain() (string, error) {
	if p.Linear == "" {
		return "", nil
	}
	f, err := quant.Find(p.Linear)
	if err != nil || f.Plain() {
		return p.Linear, err
	}
	return plainForm.dtype.String(), nil
}

// form is how the input of a product is stored: plain numbers, or codes of an activation format.
type form struct {
	dtype  dtype.Type
	format string // "q16t", "q16g", "q8t", "q8g", "s8t", "e4m3t", "e4m3g"; "" for plain numbers
	group  int64
}

// plainForm is the input of weights of codes on targets that turn them into numbers.
var plainForm = form{dtype: dtype.BF16}

// inputForm returns the form of input that the target multiplies a weight with.
func (c *Context) inputForm(w *ir.Weight) (form, error) {
	if w.Type.Quant == "" && w.Type.DType != dtype.F16 || c.Options.Target == nil {
		return ownForm(w), nil
	}
	f, err := quant.FindType(w.Type.Quant)
	if w.Type.Quant == "" {
		f, err = quant.Find(w.Type.DType.String())
	}
	if err != nil {
		return form{}, err
	}
	name, err := c.Options.Target.InputFormat(f)
	switch {
	case err != nil:
		return form{}, err
	case name == f.Activation, f.Plain() && name == f.DType.String():
		return ownForm(w), nil
	case name == plainForm.dtype.String():
		return plainForm, nil
	case name == dtype.F32.String():
		return form{dtype: dtype.F32}, nil
	case multiplies(name, w):
		return codedForm(w, f, name), nil
	}
	return form{}, fmt.Errorf("target %s multiplies %s with inputs of %s, which are not defined", c.Options.Target.Name(), f.Name, name)
}

// multiplies tells whether products of an activation format and of a weight's codes are defined.
func multiplies(activation string, w *ir.Weight) bool {
	a := ir.FindActivation(activation)
	base, _ := ir.SplitQuant(w.Type.Quant)
	return a != nil && slices.Contains(a.Weights, base)
}

// ownForm returns the form of input that goes with a weight where no target says more: plain weights meet numbers of their own type, codes meet the activation format that goes with theirs.
func ownForm(w *ir.Weight) form {
	if w.Type.Quant == "" {
		return form{dtype: w.Type.DType}
	}
	f, err := quant.FindType(w.Type.Quant)
	if err != nil || f.Activation == "" {
		return form{dtype: dtype.F32} // multiplied as the numbers that it stands for
	}
	return codedForm(w, f, f.Activation)
}

// codedForm is an activation format with the groups that it needs for a weight.
func codedForm(w *ir.Weight, f *quant.Format, activation string) form {
	a := ir.FindActivation(activation)
	groups := [...]int64{ir.NoGroups: 0, ir.GroupSums: w.Segment, ir.GroupScales: int64(f.Group)}
	return form{a.Code, a.Base, groups[a.Group]}
}

// fits tells whether a value of type t has the form.
func (f form) fits(t ir.Type) bool { return t.DType == f.dtype && t.Quant == f.quant() }

func (f form) quant() string {
	if f.format == "" {
		return ""
	}
	return ir.QuantName(f.format, f.group)
}

func (f form) String() string { return strings.TrimSuffix(f.dtype.String()+":"+f.quant(), ":") }

// exactK bounds the products of codes of 8 bits whose sum is exact in 32 bits.
const exactK = 1 << 17

// segment returns the length of the parts of K that are summed apart, in units of whole groups and of 64, the padding of inputs; 0 for one part, which all are but those of so many codes that their sum
// would not be exact. Nothing shares K: neither ranks nor GPUs (docs/decisions.md, "Ranks share columns, not sums").
func segment(w *ir.Weight) int64 {
	if w.Type.Rank() != 2 {
		return 0
	}
	k, _ := w.Type.Cols()
	if k <= exactK {
		return 0
	}
	_, group := ir.SplitQuant(w.Type.Quant)
	parts := (k + exactK - 1) / exactK
	return alignUp((k+parts-1)/parts, max(64, group))
}

// outputs returns the linears whose result is a result of the function, but for ops that work on each number alone.
func outputs(f *ir.Func) []*ir.Op {
	var found []*ir.Op
	for _, v := range f.Results {
		for v.Def != nil && slices.Contains([]string{"scale", "softcap", "select_rows"}, v.Def.Kind.Name) {
			v = v.Def.Arg("x")
		}
		if v.Def != nil && v.Def.Kind.Name == "linear" {
			found = append(found, v.Def)
		}
	}
	return found
}
