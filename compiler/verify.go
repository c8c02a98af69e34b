package compiler

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"

	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/ir/interp"
)

// Verification is the result of comparing a plan with the checkpoint that it should be of: each stored weight with its tensors, then each
// value of a run with the reference interpreter, which computes in f32 with weights, keys and values as stored. So it judges the compiler and the
// kernels; what the format costs is for Evaluate to say. Errors are relative to the range of the reference's value.
type Verification struct {
	OK             bool    `json:"ok"`
	MaxErr         float64 `json:"max_err"`
	MeanErr        float64 `json:"mean_err"`
	FirstBadLayer  *int    `json:"first_bad_layer"`
	FirstBadWeight string  `json:"first_bad_weight,omitempty"` // further from the checkpoint than its format explains
	Compared       int     `json:"compared"`                   // values of the IR that both computed
	Tolerance      float64 `json:"tolerance"`                  // of the mean error of each value
}

// tolerances are how far a value may be from the reference on average, by the format of the weights. What remains beside the order of
// sums is the rounding of inputs, to 4 bits where they become e4m3, to 8 where they become integers, and of the KV cache. A wrong op or order puts a value off by a tenth of its
// range or more.
var tolerances = map[string]float64{"f32": 1e-5, "bf16": 5e-3, "fp8": 3e-2, "int8-w8a8": 1e-2}

const otherTolerance = 3e-3

// verifyTokens is the length of the sequence that both run: long enough to cross KV pages.
const verifyTokens = 40

// Against runs the reference interpreter on the checkpoint in dir and the plan on model, and compares every value that both name.
func Against(ctx context.Context, plan *engine.Plan, model engine.Tracer, dir string) (*Verification, error) {
	checkpoint, err := hf.Open(dir)
	if err != nil {
		return nil, err
	}
	defer checkpoint.Close()
	program, err := programOf(plan, model)
	if err != nil {
		return nil, err
	}
	var options Options
	if err := options.SetIgnored(plan); err != nil {
		return nil, err
	}
	imported, err := models.Import(checkpoint, options.importing(cacheType(program)))
	if err != nil {
		return nil, err
	}
	info := plan.Info()
	if imported.Info.Vocab != info.Vocab || imported.Info.Layers != info.Layers || imported.Info.Family != info.Family {
		return nil, fmt.Errorf("%s is %s with %d layers and a vocabulary of %d; the plan is %s with %d and %d", dir,
			imported.Info.Family, imported.Info.Layers, imported.Info.Vocab, info.Family, info.Layers, info.Vocab)
	}
	tokens := make([]int32, min(verifyTokens, info.MaxContext))
	random := rand.New(rand.NewPCG(1, 1))
	for i := range tokens {
		tokens[i] = random.Int32N(int32(info.Vocab))
	}
	stored, err := newStoredWeights(checkpoint, plan, program)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", plan.Path(), err)
	}
	bad, err := stored.firstBad()
	if err != nil {
		return nil, err
	}
	want, err := reference(imported.Module, stored, tokens)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := comparison{want: want, bad: bad, Verification: Verification{Tolerance: otherTolerance}}
	if t, ok := tolerances[info.Quant]; ok {
		c.Tolerance = t
	}
	step, out := verifyStep(tokens, info.Vocab)
	if err := model.Trace(step, out, c.visit); err != nil {
		return nil, err
	}
	return c.result(info.Layers)
}

// programOf returns the program that a loaded model runs.
func programOf(plan *engine.Plan, model engine.Tracer) (*engine.Program, error) {
	settings, _ := model.Limits()
	return plan.Program("step", settings.Target)
}

// cacheType returns the element type in which a program stores keys and values: the reference rounds them alike.
func cacheType(program *engine.Program) dtype.Type {
	for _, c := range program.Caches {
		return c.DType
	}
	return dtype.F32
}

// reference returns the values of all named activations, by name.
func reference(m *ir.Module, weights interp.Weights, tokens []int32) (map[string]interp.Tensor, error) {
	for _, w := range m.Weights {
		w.Type.DType = dtype.F32 // stored numbers are not to be rounded to the checkpoint's type again
	}
	f := m.Func("step")
	results := slices.Clone(f.Results)
	var names []string
	for _, op := range f.Ops {
		for _, r := range op.Results {
			if r.Name != "" && !r.Type.IsToken() {
				results, names = append(results, r), append(names, r.Name)
			}
		}
	}
	plain := len(f.Results)
	f.Results = results
	batch := &interp.Batch{}
	batch.Add(0, 0, len(tokens), tokens...)
	batch.SampleAll()
	machine := interp.New(m, weights)
	machine.KeepBytes = 0 // each weight is read once
	values, err := machine.Run("step", batch)
	if err != nil {
		return nil, err
	}
	want := map[string]interp.Tensor{}
	for i, name := range names {
		want[name] = values[plain+i]
	}
	return want, nil
}

// tensors gives the interpreter a checkpoint's tensors.
type tensors struct{ checkpoint *hf.Checkpoint }

// Tensor implements interp.Weights.
func (t tensors) Tensor(name string) ([]float32, error) {
	tensor := t.checkpoint.Lookup(name)
	if tensor == nil {
		return nil, fmt.Errorf("the checkpoint has no tensor %q", name)
	}
	data := make([]float32, tensor.Elements())
	return data, tensor.ReadRows(data, 0, tensor.Rows())
}

// verifyStep is the whole sequence in one step, every row sampled.
func verifyStep(tokens []int32, vocab int) (*engine.Step, []engine.Sampled) {
	s := &engine.Step{}
	s.Reset()
	n := int32(len(tokens))
	const pageSize = 16
	for i, id := range tokens {
		s.IDs = append(s.IDs, id)
		s.Positions = append(s.Positions, int32(i))
		s.RopeLen = append(s.RopeLen, n)
		s.Slots = append(s.Slots, int32(i))
		s.Rows = append(s.Rows, engine.Row{Token: int32(i), Position: int32(i) + 1, Logits: make([]float32, vocab)})
	}
	for p := int32(0); p*pageSize < n; p++ {
		s.Pages = append(s.Pages, p)
	}
	s.SeqStart, s.Context, s.PageStart = append(s.SeqStart, n), append(s.Context, n), append(s.PageStart, int32(len(s.Pages)))
	return s, make([]engine.Sampled, n)
}

// VerifySettings are the launch settings that Against needs of the model.
func VerifySettings() engine.Settings {
	return engine.Settings{MaxStepTokens: verifyTokens, MaxSequences: 1, MaxRows: verifyTokens, MaxContext: verifyTokens, PageSize: 16}
}

// comparison collects the errors of the values that the plan shows.
type comparison struct {
	Verification
	want  map[string]interp.Tensor
	bad   *storedWeight // nil if all are good
	sum   float64
	n     int
	means map[string]float64 // error of each value, on average
}

func (c *comparison) visit(name string, rows [][]float32) {
	want, ok := c.want[name]
	if !ok || want.Rows != len(rows) || want.Rows == 0 || len(rows[0]) != want.Cols {
		return
	}
	lo, hi := slices.Min(want.Data), slices.Max(want.Data)
	scale := math.Max(float64(hi)-float64(lo), 1e-12)
	most, sum := 0.0, 0.0
	for r, row := range rows {
		for i, x := range row {
			e := math.Abs(float64(x)-float64(want.Row(r)[i])) / scale
			if !(e <= math.MaxFloat64) {
				e = math.MaxFloat64
			}
			most = math.Max(most, e)
			sum += math.Min(e, 1)
		}
	}
	if c.means == nil {
		c.means = map[string]float64{}
	}
	c.means[name] = sum / float64(len(want.Data))
	c.sum, c.n = c.sum+sum, c.n+len(want.Data)
	c.MaxErr = math.Max(c.MaxErr, most)
	c.Compared++
}

var valueLayer = regexp.MustCompile(`^l(\d+)\.`)

// tensorLayer finds the layer in a recipe's first tensor, such as model.layers.3.mlp.up_proj.weight.
var tensorLayer = regexp.MustCompile(`\.(\d+)\.`)

func (c *comparison) result(layers int) (*Verification, error) {
	if c.Compared < layers {
		return nil, fmt.Errorf("only %d values of %d layers could be compared", c.Compared, layers)
	}
	c.MeanErr = c.sum / float64(c.n)
	c.OK = true
	for name, e := range c.means {
		if e > c.Tolerance {
			c.fail(valueLayer.FindStringSubmatch(name), layers)
		}
	}
	if c.bad != nil {
		c.FirstBadWeight = c.bad.Name
		c.fail(tensorLayer.FindStringSubmatch(c.bad.Recipe), layers)
	}
	return &c.Verification, nil
}

// fail notes that something is wrong in the layer that a match found; without one it is in what follows the last layer.
func (c *comparison) fail(match []string, layers int) {
	c.OK = false
	layer := layers
	if match != nil {
		layer, _ = strconv.Atoi(match[1])
	}
	if c.FirstBadLayer == nil || layer < *c.FirstBadLayer {
		c.FirstBadLayer = &layer
	}
}
