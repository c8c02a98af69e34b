package calib

import (
	"fmt"
	"strings"

	"llmc/internal/quant"
)

// Method is a way to choose codes with a calibration.
type Method struct {
	Name, Doc string
	feedback  bool // columns make up for errors of those before them
	// factors finds what columns of inputs are divided by before anything is rounded; nil: nothing.
	factors  func(s *Smoothing) []float32
	sequence bool // products of an input get their codes before what comes behind them is run
	tunes    bool // then scales are moved until the whole model diverges less
	// Largest tells that the largest magnitudes of inputs are looked for.
	Largest bool
}

// Methods lists what --method takes, the default first.
var Methods = []Method{
	{Name: "gptq", Doc: "each input makes up for the errors of those before it, then scales and codes are improved in turn; products are rounded one after the other and make up for what those before them lose", feedback: true, sequence: true},
	{Name: "gptq-tuned", Doc: "gptq, then all scales are moved a little, so that the whole model diverges less from the unquantized one: longer, for decoders in formats of 4 and 8 bits", feedback: true, sequence: true, tunes: true},
	{Name: "gptq-apart", Doc: "gptq, every product by itself: half the time", feedback: true},
	{Name: "rtn", Doc: "the nearest code, of scales that lose least"},
	{Name: "awq", Doc: "rtn, of columns that are scaled by what their inputs are", factors: awqFactors},
	{Name: "awq-gptq", Doc: "gptq, of columns scaled as by awq", feedback: true, factors: awqFactors},
	{Name: SmoothQuant, Doc: "for int8-w8a8: what stands out of inputs goes into the weights, instead of turning the model", factors: smoothquantFactors, Largest: true},
}

// SmoothQuant is the method that stands for turning a model.
const SmoothQuant = "smoothquant"

// Smooths tells whether the method scales columns.
func (m *Method) Smooths() bool { return m.factors != nil }

// InSequence tells whether codes are chosen while the text runs, product by product.
func (m *Method) InSequence() bool { return m.sequence }

// Tunes tells whether scales are moved when all codes have been chosen.
func (m *Method) Tunes() bool { return m.tunes }

// Smoothing is an input whose columns can be scaled, and some rows of the weights that it meets.
type Smoothing struct {
	Format  *quant.Format // that weights are going to have
	Input   *Input
	Rows    []float32       // [any, Input.Cols]
	Factors int             // how many there are
	Factor  func(c int) int // of a column
}

// FactorsOf returns what the columns of an input are to be divided by, and its weights' multiplied: powers of two times one of eighths from 1 to 15/8, so that they take few
// digits; nil where nothing is gained.
func (m *Method) FactorsOf(s *Smoothing) []float32 { return m.factors(s) }

// FindMethod returns the method of a name, the default of "".
func FindMethod(name string) (*Method, error) {
	if name == "" {
		return &Methods[0], nil
	}
	for i := range Methods {
		if Methods[i].Name == name {
			return &Methods[i], nil
		}
	}
	return nil, fmt.Errorf("%q: there is no such method, there are %s", name, strings.Join(MethodNames(), ", "))
}

// MethodNames lists what FindMethod takes.
func MethodNames() []string {
	var names []string
	for _, m := range Methods {
		names = append(names, m.Name)
	}
	return names
}
