package compiler

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"llmc/compiler/buildcache"
	"llmc/compiler/calib"
	"llmc/engine"
	"llmc/internal/quant"
	"llmc/ir"
	"llmc/ir/grad"
	"llmc/passes"
)

// Calibration has a build run the model on a text, and choose codes by what the inputs of its products are.
type Calibration struct {
	Text string // empty: calib.DefaultText
	// Conversations says that the text is conversations, one in a line of JSON, to which the chat template is applied.
	Conversations bool
	Method        string // one of calib.Methods; "": the default
	Windows       int    // of the text that are run at most; 0: calib.RunWindows
	// State is a directory that keeps what has been done of a calibration that chooses codes while the text runs, until the plan is there: the same build goes on there after it was broken off.
	State string
	// Open loads a plan that was built for calibrationTarget. Its models are closed before the build is done.
	Open func(path string, settings engine.Settings) (engine.PartTracer, error)
}

// calibrationTarget is what a model is built for to be run by a build: one for all hosts, so that bytes do not depend on the host.
const calibrationTarget = "x86-64-v3"

// calibrated is what a calibration found.
type calibrated struct {
	method   *calib.Method
	moments  *calib.Moments
	codes    *codeFile
	inputs   map[string]string // by source of a weight's rows: the input of its product
	sorted   []expertInput
	stacks   map[string][]stackRows // by source of the rows of experts' weights
	ids      []int32                // to measure on
	tuning   [][]int32              // windows to tune scales on
	tokens   int                    // run
	windows  int                    // at most; 0: calib.RunWindows
	text     string                 // its hash
	dir      string                 // of files that are gone at the end
	journal  *journal               // of a calibration that can be broken off; nil: it can not
	finished bool                   // the plan is there
	original engine.PartTracer      // the model in f32

	factors map[string][]float32 // found by smoother, by sources of the weights
	quality *calib.Quality       // found by measure

	// What a cache has of an earlier calibration, whose codes these are, and the formats that its budget chose. There are no moments then.
	kept  *buildcache.Codes
	mixed []passes.Override
}

func (c *calibrated) close() {
	if c == nil {
		return
	}
	if c.original != nil {
		_ = c.original.Close()
	}
	if c.moments != nil {
		_ = c.moments.Close()
	}
	if c.kept != nil {
		_ = c.kept.Close()
	} else if c.codes != nil {
		_ = c.codes.close()
	}
	if c.dir != "" && (c.journal == nil || c.finished) {
		_ = os.RemoveAll(c.dir)
	}
}

// finish says that the plan is there: what a broken off calibration would go on from is no longer needed.
func (c *calibrated) finish() {
	if c != nil {
		c.finished = true
	}
}

// calibrate builds the model in f32, as it is turned for the plan, runs it on the text, and adds up what the inputs of its products are.
func (b *build) calibrate(ctx context.Context) (*calibrated, error) {
	if len(b.model.Module.Funcs) != 1 || b.model.Module.Func(engine.StepFunc) == nil {
		return nil, fmt.Errorf("--calib: only models that generate text from tokens alone are calibrated, and this one has %s; leave it out", functionNames(b.model.Module))
	}
	c := &calibrated{inputs: map[string]string{}, stacks: map[string][]stackRows{}}
	if err := c.find(ctx, b); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// find does so. What it has opened is closed with c.
func (c *calibrated) find(ctx context.Context, b *build) (err error) {
	if c.method, err = calib.FindMethod(b.Calibration.Method); err != nil {
		return err
	}
	if c.method.Largest && !b.narrowInputs() {
		return fmt.Errorf("--method %s: inputs of %s are not rounded to 8 bits; take --quant int8-w8a8, or another method", c.method.Name, b.quant)
	}
	if c.method.Tunes() {
		if err := grad.Check(b.model.Module.Func(engine.StepFunc)); err != nil {
			return fmt.Errorf("--method %s: %w; take --method gptq", c.method.Name, err)
		}
	}
	windows, err := c.tokenize(b)
	if err != nil {
		return fmt.Errorf("--calib: %w", err)
	}
	if err := c.openDir(ctx, b); err != nil {
		return err
	}
	if c.codes, err = newCodeFile(c.dir); err != nil {
		return err
	}
	path := filepath.Join(c.dir, originalPlan)
	if c.journal == nil || c.journal.Done == 0 {
		if _, err = Build(ctx, b.alike(path, "f32")); err != nil {
			return fmt.Errorf("the model in f32, to calibrate: %w", err)
		}
	}
	plan, err := engine.Open(path)
	if err != nil {
		return err
	}
	inputs, err := c.findInputs(plan)
	if err = errors.Join(err, plan.Close()); err != nil {
		return err
	}
	c.fewerInputs(inputs)
	if c.moments, err = calib.NewMoments(c.dir, c.momentsFile(), inputs, b.Threads); err != nil {
		return err
	}
	if c.method.Largest {
		c.moments.KeepLargest()
	}
	if c.original, err = b.Calibration.Open(path, b.calibrationSettings()); err != nil {
		return err
	}
	if b.Budget.given() {
		if err := c.chooseFormats(ctx, b, windows, inputs); err != nil {
			return err
		}
	}
	return c.runText(ctx, b, windows, inputs)
}

// runText runs the windows, and chooses codes while it does so where the method and the model allow it.
func (c *calibrated) runText(ctx context.Context, b *build, windows [][]int32, inputs map[string]int) error {
	if chooses, err := c.chooses(b); !chooses || err != nil {
		return err
	}
	if c.method.InSequence() {
		s, err := c.newSequence(b, inputs)
		if err != nil {
			return err
		}
		if s != nil {
			defer s.close()
			if err := s.run(ctx, windows); err != nil || !c.method.Tunes() {
				return err
			}
			return s.tune(ctx)
		}
		if c.method.Tunes() {
			return fmt.Errorf("--method %s: the model can not be stopped between products; take --method gptq", c.method.Name)
		}
		for name := range inputs { // nothing is kept of a model that is not run in parts
			c.moments.Restore(name, 0)
		}
	}
	return c.run(ctx, b, windows)
}

// chooseFormats spends the budget, unless that has been done by a build that was broken off.
func (c *calibrated) chooseFormats(ctx context.Context, b *build, windows [][]int32, inputs map[string]int) error {
	if c.journal != nil && c.journal.Mixed {
		return b.override(c.journal.Mix)
	}
	for name := range inputs {
		c.moments.Restore(name, 0)
	}
	if err := c.mix(ctx, b, windows); err != nil {
		return err
	}
	for name := range inputs {
		c.moments.Restore(name, 0)
	}
	if c.journal == nil {
		return nil
	}
	c.journal.Mixed, c.journal.Mix = true, b.Override[len(b.askedFor()):]
	return c.write()
}

// chooses tells whether anything depends on the text but what is measured on a part of it.
func (c *calibrated) chooses(b *build) (bool, error) {
	if c.method.Smooths() {
		return true, nil
	}
	jobs, err := b.measuredJobs()
	return slices.ContainsFunc(jobs, func(j *packJob) bool { return j.format.Choosable() }), err
}

// originalPlan is the file of the model in f32.
const originalPlan = "original.plan"

// calibrationSettings serve one window of a text at a time.
func (b *build) calibrationSettings() engine.Settings {
	return engine.Settings{MaxStepTokens: calib.Window, MaxSequences: 1, MaxRows: calib.Window / calibrationRows, MaxContext: calib.Window, Threads: b.Threads}
}

// calibrationRows is one of how many positions has logits: enough for the inputs of the output matrix.
const calibrationRows = 8

// alike is a build of the same model, turned alike, for calibrationTarget in another format.
func (b *build) alike(out, format string) Options {
	o := *b.Options
	o.Out, o.Archs, o.Quant, o.Calibration, o.Gate, o.Budget = out, []string{calibrationTarget}, format, nil, nil, Budget{}
	o.Cache = nil // what is kept is the whole
	o.Cubin, o.Trace, o.Dump, o.DumpTo, o.LoraRank, o.Cards, o.KVDType = false, nil, "", nil, 0, nil, ""
	if format == "f32" {
		o.Override, o.Requantize = nil, false
	}
	if f, err := quant.Find(b.policy.Linear); err == nil && f.Rotate && o.Rotation == passes.RotateAuto {
		o.Rotation = passes.RotateInputs
	}
	return o
}

// findInputs notes by the rows' sources which value each weight is multiplied with, and returns these values' columns.
func (c *calibrated) findInputs(plan *engine.Plan) (map[string]int, error) {
	program, err := plan.Program(engine.StepFunc, calibrationTarget)
	if err != nil {
		return nil, err
	}
	module, err := finalModule(plan, []*engine.Program{program})
	if err != nil {
		return nil, err
	}
	f := module.Func(engine.StepFunc)
	f.Number()
	inputs := map[string]int{}
	for _, op := range f.Ops {
		if op.Kind.Name == "moe.linear" || op.Kind.Name == "moe.linear_swiglu" {
			c.findExperts(op, inputs)
		}
		w, x := productOf(op)
		if w == nil {
			continue
		}
		name := valueName(x)
		rows, cols, _ := w.Type.Matrix()
		for run := range w.Recipe.Runs(cols, 0, rows) {
			if key := sourceKey(run.Source, cols); key != "" {
				c.inputs[key], inputs[name] = name, int(cols)
			}
		}
	}
	return inputs, nil
}

// valueName is what a program calls a value.
func valueName(x *ir.Value) string {
	if x.Name != "" {
		return x.Name
	}
	return strconv.Itoa(x.ID)
}

// productOf returns the matrix that an op multiplies all rows of a value with, and the value.
func productOf(op *ir.Op) (w *ir.Weight, x *ir.Value) {
	if !slices.Contains([]string{"linear", "linear_swiglu", "linear_act", "linear_add", "linear_rope_kv"}, op.Kind.Name) {
		return nil, nil
	}
	return op.Arg("w").Weight, op.Arg("x")
}

// run adds up moments of all windows.
func (c *calibrated) run(ctx context.Context, b *build, windows [][]int32) error {
	task := b.Progress.Start("calibration", int64(len(windows)))
	defer task.Done()
	limits, _ := c.original.Limits()
	out := make([]engine.Sampled, limits.MaxRows)
	step := &engine.Step{}
	sorter := &sorter{of: c.sorted, moments: c.moments}
	for i, window := range windows {
		if err := ctx.Err(); err != nil {
			return err
		}
		calibrationStep(step, window, limits.PageSize)
		sorter.begin()
		if err := c.original.TracePlaces(step, out[:len(step.Rows)], sorter.value, sorter.place); err != nil {
			return fmt.Errorf("--calib: window %d: %w", i+1, err)
		}
		c.tokens += len(window)
		task.Add(1)
	}
	return nil
}

// calibrationStep makes a step of one window.
func calibrationStep(step *engine.Step, window []int32, pageSize int) *engine.Step {
	step.Reset()
	step.IDs = append(step.IDs, window...)
	for p := calibrationRows - 1; p < len(window); p += calibrationRows {
		step.Rows = append(step.Rows, engine.Row{Token: int32(p), Position: int32(p + 1)})
	}
	for p := 0; p*pageSize < len(window); p++ {
		step.Pages = append(step.Pages, int32(p))
	}
	step.EndSequence(0, len(window), pageSize)
	return step
}

// options say in the provenance how codes were chosen.
func (c *calibrated) options() []engine.Option {
	if c == nil {
		return nil
	}
	list := []engine.Option{{Name: methodOption, Value: c.method.Name}, {Name: "calib", Value: fmt.Sprintf("%d tokens of a text with sha256 %s", c.tokens, c.text)}}
	if c.windows > 0 {
		list = append(list, engine.Option{Name: windowsOption, Value: strconv.Itoa(c.windows)})
	}
	return list
}

// windowsOption is how many windows of the text were run at most, where that was asked for.
const windowsOption = "calib-windows"

// methodOption is the name under which provenance says by which method codes were chosen.
const methodOption = "method"
