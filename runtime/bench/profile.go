package bench

import (
	"context"
	"fmt"

	"llmc/engine"
)

// Phase is a kind of steps with what their launches took.
type Phase struct {
	Name     string // "prefill" or "decode", or the function that was run
	Steps    int
	Launches []engine.LaunchTime // sums over the steps
}

// Seconds is what the launches took in a step, what is not in launches with it.
func (p *Phase) Seconds() (total float64) {
	for _, l := range p.Launches {
		total += l.Seconds
	}
	return total / float64(p.Steps)
}

// Profiled says what Profile runs.
func (c *Config) Profiled() string {
	return fmt.Sprintf("%d sequences, prompts of %d tokens.", c.Batches[0], c.Prompt)
}

// Profile times the launches of one prompt and of its decode steps, for the first batch size.
func Profile(ctx context.Context, model engine.Model, vocab int, c Config) ([]Phase, error) {
	profiler, ok := model.(engine.Profiler)
	if !ok {
		return nil, fmt.Errorf("this device cannot time launches")
	}
	limits, pages := model.Limits()
	batch := c.Batches[0]
	if err := check(c, batch, limits, pages); err != nil {
		return nil, err
	}
	// The first steps find code that has not been loaded and memory that has not been touched.
	if err := newRun(model, limits, vocab, batch, c, 1).warm(ctx); err != nil {
		return nil, err
	}
	p := &profiled{Model: model, profiler: profiler, times: profiler.Launches()}
	r := newRun(p, limits, vocab, batch, c, 0)
	last := make([]int32, batch)
	if err := r.prefill(ctx, last); err != nil {
		return nil, err
	}
	phases := []Phase{p.phase("prefill")}
	for i := range c.Gen {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := r.decode(last, i); err != nil {
			return nil, err
		}
	}
	if c.Gen > 0 {
		phases = append(phases, p.phase("decode"))
	}
	return phases, nil
}

// warm runs a prompt and a decode step.
func (r *run) warm(ctx context.Context) error {
	last := make([]int32, r.batch)
	if err := r.prefill(ctx, last); err != nil || r.c.Gen == 0 {
		return err
	}
	return r.decode(last, 0)
}

// profiled is a model whose steps are profiled.
type profiled struct {
	engine.Model
	profiler engine.Profiler
	times    []engine.LaunchTime
	steps    int
}

// Step implements engine.Model.
func (p *profiled) Step(step *engine.Step, out []engine.Sampled) error {
	p.steps++
	return p.profiler.Profile(step, out, p.times)
}

// phase returns what has been timed, and begins anew.
func (p *profiled) phase(name string) Phase {
	phase := Phase{Name: name, Steps: p.steps, Launches: p.times}
	p.times, p.steps = p.profiler.Launches(), 0
	return phase
}

// profiledFunctions is a model whose functions are profiled too, each apart.
type profiledFunctions struct {
	profiled
	functions engine.FunctionProfiler
	of        map[string]*Phase
}

func newProfiledFunctions(model engine.Model) (*profiledFunctions, error) {
	functions, ok := model.(engine.FunctionProfiler)
	if !ok {
		return nil, fmt.Errorf("this device cannot time the launches of functions")
	}
	return &profiledFunctions{profiled{Model: model, profiler: functions, times: functions.Launches()}, functions, map[string]*Phase{}}, nil
}

// Functions and Results implement engine.Runner.
func (p *profiledFunctions) Functions() []string { return p.functions.Functions() }

// Results implements engine.Runner.
func (p *profiledFunctions) Results(function string) []engine.Buffer {
	return p.functions.Results(function)
}

// Run implements engine.Runner, but for the results, which nobody looks at.
func (p *profiledFunctions) Run(function string, step *engine.Step, _ [][]float32) error {
	phase := p.of[function]
	if phase == nil {
		phase = &Phase{Name: function, Launches: p.functions.LaunchesOf(function)}
		p.of[function] = phase
	}
	phase.Steps++
	return p.functions.ProfileFunction(function, step, phase.Launches)
}

// function returns what has been timed of a function.
func (p *profiledFunctions) function(name string) (phases []Phase) {
	if phase := p.of[name]; phase != nil {
		phases = append(phases, *phase)
	}
	return phases
}
