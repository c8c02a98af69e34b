package compiler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"

	"llmc/compiler/dump"
	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/ir/interp"
)

// Verification is the result of comparing a plan with the checkpoint that it should be of: each stored weight with its tensors; then the
// functions that the IR computes as imported and after the passes, in f32 with weights as stored and nothing else rounded; then each value of the program with
// what the reference interpreter makes of that IR, roundings included, from what the program made of the values before it. So an error is that of
// one op, not what later roundings make of earlier ones: it judges the compiler and the kernels. What the format costs is for Evaluate to say.
// Errors are relative to the range of the reference's value.
type Verification struct {
	OK             bool    `json:"ok"`
	MaxErr         float64 `json:"max_err"`
	MeanErr        float64 `json:"mean_err"`
	FirstBadLayer  *int    `json:"first_bad_layer"`
	FirstBadWeight string  `json:"first_bad_weight,omitempty"` // further from the checkpoint than its format explains
	Compared       int     `json:"compared"`                   // values of the IR that both computed
	WorstMean      float64 `json:"worst_mean"`                 // the largest mean error of a value
	PassesErr      float64 `json:"passes_max_err"`             // of what the passes made of the imported IR, nothing rounded
	PassesBad      bool    `json:"passes_bad,omitempty"`       // they changed the function: more than f32 and the order of sums explain
	Tolerance
	Rebuilt *dump.Comparison `json:"rebuilt,omitempty"` // with what the same build gives here; nil: it was not built again
}

// Tolerance is how far a value may be from the reference: each number of it, and all of them on average.
type Tolerance struct {
	Max  float64 `json:"max_tolerance"`
	Mean float64 `json:"tolerance"`
}

// tolerances are how far a value may be from the reference, by the format of the weights: three times what the public checkpoints need and
// more. What there is beside the order of sums is the rounding of the numbers that attention multiplies, and numbers that lie so near the middle
// between two of a narrower format that the order of sums decides between them. A wrong op or order puts a value off by a tenth of its range or more.
var tolerances = map[string]Tolerance{"f32": {Max: 5e-6, Mean: 5e-7}}

var otherTolerance = Tolerance{Max: 1e-2, Mean: 6e-4}

// turnedMost is the largest error of a number in models whose activations have no outliers: these made the range larger that errors are parts of. It is that
// of encoder-decoders too, of which T5 does not divide scores, so that they tell more of a key's rounding.
// What keys lose in a cache of bf16 is the most of it.
const turnedMost = 3e-2

func tolerance(info *engine.ModelInfo, turned bool) Tolerance {
	if t, ok := tolerances[info.Quant]; ok {
		return t
	}
	t := otherTolerance
	if turned || info.Source != nil {
		t.Max = turnedMost
	}
	return t
}

// Against runs the reference interpreter on the checkpoint in dir, adapters merged, and the plan on model, and compares every value that both name.
func Against(ctx context.Context, plan *engine.Plan, model engine.Tracer, from Original) (*Verification, error) {
	checkpoint, err := openMerged(from.Dir, from.Lora)
	if err != nil {
		return nil, err
	}
	defer checkpoint.Close()
	options := Options{Family: from.Family}
	if err := options.SetIgnored(plan); err != nil {
		return nil, err
	}
	settings, _ := model.Limits()
	var programs []*engine.Program
	for _, function := range plan.Functions() {
		program, err := plan.Program(function, settings.Target)
		if err != nil {
			return nil, err
		}
		programs = append(programs, program)
	}
	if len(programs) == 0 {
		return nil, fmt.Errorf("%s: the plan has no functions", plan.Path())
	}
	c, err := newCompared(plan, programs, checkpoint, &options)
	if err != nil {
		return nil, err
	}
	var all *Verification
	for _, program := range programs {
		if program.Func == engine.EncodeFunc { // judged with the steps that read what it caches
			continue
		}
		v, err := c.function(ctx, program.Func, model)
		if err != nil {
			return nil, err
		}
		all = all.with(v)
	}
	return all, nil
}

// compared is a plan beside the checkpoint that it should be of: what its functions share, which is imported and looked at once.
type compared struct {
	plan       *engine.Plan
	info       engine.ModelInfo
	checkpoint *hf.Checkpoint
	imported   *ir.Module
	final      *ir.Module // that the programs were generated from
	stored     *storedWeights
	bad        *storedWeight // further from the checkpoint than its format explains; nil: none
}

// newCompared imports the checkpoint, and compares every row that the plan stores with it. programs are all of the plan's for a target.
func newCompared(plan *engine.Plan, programs []*engine.Program, checkpoint *hf.Checkpoint, options *Options) (*compared, error) {
	c := &compared{plan: plan, info: plan.Info(), checkpoint: checkpoint}
	var err error
	if c.final, err = finalModule(plan, programs); err != nil {
		return nil, err
	}
	importing, err := options.importing(cacheType(programs), plan.Targets(plan.Main()))
	if err != nil {
		return nil, err
	}
	importing.Dequantize = !keepsCodes(c.final)
	imported, err := models.Import(checkpoint, importing)
	if err != nil {
		return nil, err
	}
	if is := &imported.Info; is.Vocab != c.info.Vocab || is.Layers != c.info.Layers || is.Family != c.info.Family {
		return nil, fmt.Errorf("%s is %s with %d layers and a vocabulary of %d; the plan is %s with %d and %d", checkpoint.Dir,
			is.Family, is.Layers, is.Vocab, c.info.Family, c.info.Layers, c.info.Vocab)
	}
	c.imported = imported.Module
	if c.stored, err = newStoredWeights(checkpoint, plan, programs); err != nil {
		return nil, fmt.Errorf("%s: %w", plan.Path(), err)
	}
	c.stored.markKept(c.final)
	c.bad, err = c.stored.firstBad()
	return c, err
}

// function is Against of one function of the plan.
func (c *compared) function(ctx context.Context, name string, model engine.Tracer) (*Verification, error) {
	r := reference{imported: c.imported, final: c.final, weights: c.stored, function: name, verifyInput: newVerifyInput(name, &c.info)}
	if err := errors.Join(r.rotate(c.plan, c.checkpoint), r.smooth(c.checkpoint)); err != nil {
		return nil, fmt.Errorf("%s: %w", c.plan.Path(), err)
	}
	v, err := r.verify(ctx, model, &c.info)
	if err == nil && c.bad != nil {
		v.FirstBadWeight = c.bad.Name
		v.fail(layerOf(tensorLayer, c.bad.Recipe, c.info.Layers))
	}
	return v, err
}

// verify judges the passes, then the program.
func (r *reference) verify(ctx context.Context, model engine.Tracer, info *engine.ModelInfo) (*Verification, error) {
	functions, err := r.passes()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	shown, err := r.trace(model, info.Vocab)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := r.program(shown, tolerance(info, r.turned))
	if err != nil {
		return nil, err
	}
	if c.Compared < info.Layers || functions.Compared < info.Layers {
		return nil, fmt.Errorf("only %d values of %d layers could be compared, and %d of the passes", c.Compared, info.Layers, functions.Compared)
	}
	v := &c.Verification
	v.OK, v.MeanErr, v.PassesErr, v.PassesBad = true, c.sum/float64(c.n), functions.MaxErr, len(functions.wrong) > 0
	for _, name := range append(functions.wrong, c.wrong...) {
		v.fail(layerOf(valueLayer, name, info.Layers))
	}
	return v, nil
}

// cacheType returns the element type in which programs store keys and values: the reference rounds them alike.
func cacheType(programs []*engine.Program) dtype.Type {
	for _, p := range programs {
		for _, c := range p.Caches {
			return c.DType
		}
	}
	return dtype.F32
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

// comparison collects the errors of values that are there twice.
type comparison struct {
	Verification
	shown map[string]interp.Tensor
	sum   float64
	n     int
	layer string   // the last name that says one
	wrong []string // names of values beyond the tolerance
}

// compare judges what is shown of a value and gives it where it is right, else what it should be. Values without a name are called by their number.
func (c *comparison) compare(v *ir.Value, want interp.Tensor) interp.Tensor {
	name := v.Name
	if name == "" {
		name = strconv.Itoa(v.ID)
	} else if valueLayer.MatchString(name) {
		c.layer = name
	}
	got, ok := c.shown[name]
	if !ok || got.Rows != want.Rows || got.Cols != want.Cols || len(want.Data) == 0 {
		return want
	}
	if v.Name == "" && c.layer != "" {
		name = c.layer // where to look for it
	}
	if !c.judge(name, got, want) {
		return want
	}
	return got
}

// judge compares two tensors of one shape.
func (c *comparison) judge(name string, got, want interp.Tensor) (right bool) {
	scale := math.Max(float64(slices.Max(want.Data))-float64(slices.Min(want.Data)), 1e-12)
	if len(want.Data) == 1 { // which has no range
		scale = math.Max(math.Abs(float64(want.Data[0])), 1e-12)
	}
	most, sum := 0.0, 0.0
	for i, x := range got.Data {
		e := math.Abs(float64(x)-float64(want.Data[i])) / scale
		if !(e <= math.MaxFloat64) {
			e = math.MaxFloat64
		}
		most = math.Max(most, e)
		sum += math.Min(e, 1)
	}
	mean := sum / float64(len(want.Data))
	c.sum, c.n = c.sum+sum, c.n+len(want.Data)
	c.MaxErr, c.WorstMean = math.Max(c.MaxErr, most), math.Max(c.WorstMean, mean)
	c.Compared++
	if right = most <= c.Tolerance.Max && mean <= c.Tolerance.Mean; !right {
		c.wrong = append(c.wrong, name)
	}
	return right
}

var valueLayer = regexp.MustCompile(`^(?:encode:)?[le](\d+)\.`)

// tensorLayer finds the layer in a recipe's first tensor, such as model.layers.3.mlp.up_proj.weight.
var tensorLayer = regexp.MustCompile(`\.(\d+)\.`)

// layerOf returns the layer that a name says by a pattern; without one it is what follows the last layer.
func layerOf(pattern *regexp.Regexp, name string, layers int) int {
	layer := layers
	if match := pattern.FindStringSubmatch(name); match != nil {
		layer, _ = strconv.Atoi(match[1])
	}
	return layer
}

// fail notes that something is wrong in a layer.
func (v *Verification) fail(layer int) {
	v.OK = false
	if v.FirstBadLayer == nil || layer < *v.FirstBadLayer {
		v.FirstBadLayer = &layer
	}
}
