package dump

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"llmc/engine"
)

// Plan is the report of `llmc inspect`: everything that a plan file says about itself.
type Plan struct {
	Path       string            `json:"path"`
	Digest     string            `json:"digest"`
	Format     string            `json:"format"` // version of the plan format
	Bytes      int64             `json:"bytes"`
	Model      engine.ModelInfo  `json:"model"`
	Targets    []string          `json:"targets"`
	Programs   []Program         `json:"programs"`
	Sections   []Section         `json:"sections"`
	Weights    []Weight          `json:"weights"`
	Rules      []Rule            `json:"rules"`
	Provenance engine.Provenance `json:"provenance"`
	Accuracy   json.RawMessage   `json:"accuracy,omitempty"`
}

// Section is one range of the file.
type Section struct {
	Kind   string `json:"kind"`
	Name   string `json:"name,omitempty"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Weight is one tensor of the weights section.
type Weight struct {
	Name   string  `json:"name"`
	Shape  []int64 `json:"shape"`
	Format string  `json:"format"`
	Layout string  `json:"layout,omitempty"`
	Bytes  int64   `json:"bytes"`
	SHA256 string  `json:"sha256"`
	Recipe string  `json:"recipe,omitempty"`
}

// Rule is a pass, or one rewrite of it, and how often it fired.
type Rule struct {
	Pass  string `json:"pass"`
	Rule  string `json:"rule,omitempty"`
	Count int64  `json:"count"`
}

// Program is the launch list of one function for one target, with predictions for Cores cores of the Nominal figures.
type Program struct {
	Function string          `json:"function"`
	Target   string          `json:"target"`
	PTX      *PTXInfo        `json:"ptx,omitempty"`     // of GPUs
	Cubin    *CubinInfo      `json:"cubin,omitempty"`   // where the build was asked for one
	Buckets  []int           `json:"buckets,omitempty"` // of GPUs: tokens that steps of up to 512 are padded to where they run as graphs
	Launches []Launch        `json:"launches"`
	Barriers int             `json:"barriers"`                   // synchronisations of a step
	Cores    int             `json:"threads"`                    // that times are for; of a GPU, its multiprocessors
	Card     string          `json:"card,omitempty"`             // the GPU that has so many
	Nominal  *engine.Nominal `json:"nominal_per_core,omitempty"` // absent for targets that this program does not know
	Steps    []StepCost      `json:"steps"`
	Cards    []CardReport    `json:"cards,omitempty"` // of GPUs, where asked for: see Plan.Predict

	Persistent   []Persistent `json:"persistent,omitempty"`   // of GPUs: entries that stand for launches
	Unpersistent []string     `json:"unpersistent,omitempty"` // why steps of few tokens have none
	Together     []Together   `json:"together,omitempty"`     // of GPUs: programs of several that share the model
}

// StepCost is the prediction for one step.
type StepCost struct {
	Step
	Cost
	Launches        int     `json:"launches"` // those that have something to do
	TokensPerSecond float64 `json:"tokens_per_second,omitempty"`
}

// Launch is one kernel call and what it costs.
type Launch struct {
	Kernel      string `json:"kernel"`
	Label       string `json:"label"`
	Sync        bool   `json:"sync"`
	WeightBytes int64  `json:"weight_bytes"`    // read once a step, whatever the number of tokens
	Flops       int64  `json:"flops_per_token"` // multiplications and additions with weights, an input's digits counted as one
	Steps       []Cost `json:"steps"`           // for each of the program's steps
	Code        []Code `json:"code,omitempty"`  // of targets that take kernels from the plan: the first whose limit admits a step
}

// NewPlan reads a report off an opened plan. Times are predicted for threads cores of CPUs, and for whole GPUs.
func NewPlan(p *engine.Plan, threads int) (*Plan, error) {
	if threads < 1 {
		return nil, fmt.Errorf("threads is %d: must be at least 1", threads)
	}
	h := p.Header()
	r := &Plan{
		Path: p.Path(), Digest: p.Digest(), Format: fmt.Sprintf("%d.%d", h.Major, h.Minor), Bytes: h.FileSize, Model: p.Info(), Targets: p.Targets(p.Main()),
	}
	for _, s := range h.Sections {
		r.Sections = append(r.Sections, Section{s.Kind, s.Name, s.Offset, s.Size, hex.EncodeToString(s.SHA256)})
	}
	for _, w := range h.Weights {
		format := w.Format
		if format == "" {
			format = w.DType
		}
		r.Weights = append(r.Weights, Weight{w.Name, w.Shape, format, w.Layout, w.Bytes, hex.EncodeToString(w.SHA256), w.Recipe})
	}
	rules, err := p.Rules()
	if err == nil {
		for _, c := range rules {
			r.Rules = append(r.Rules, Rule{c.Pass, c.Rule, c.Count})
		}
	}
	if provenance, err := p.Provenance(); err == nil {
		r.Provenance = *provenance
	}
	if accuracy, err := p.Section(engine.KindAccuracy, ""); err == nil && json.Valid(accuracy) {
		r.Accuracy = accuracy
	}
	for _, function := range p.Functions() {
		for _, target := range p.Targets(function) {
			program, err := p.Program(function, target)
			if err != nil {
				return nil, err
			}
			report, err := newProgram(p, program, threads)
			if err != nil {
				return nil, fmt.Errorf("%s: program of %s for %s: %w", p.Path(), program.Func, program.Target, err)
			}
			if report.Together, err = newTogether(p, function, target); err != nil {
				return nil, err
			}
			r.Programs = append(r.Programs, *report)
		}
	}
	return r, nil
}

// bucketTokens is the largest step at the server's default settings.
const bucketTokens = 512

func newProgram(p *engine.Plan, program *engine.Program, threads int) (*Program, error) {
	r := &Program{Function: program.Func, Target: program.Target, Cores: threads, Persistent: newPersistent(program), Unpersistent: program.Unpersistent}
	if target, err := engine.FindTarget(program.Target); err == nil {
		r.Nominal = &target.Nominal
		if target.Device != "cpu" {
			r.Cores, r.Card = target.Cores, target.Doc
		}
	}
	var err error
	if r.PTX, err = newPTXInfo(p, program.Target); err != nil {
		return nil, err
	}
	if r.Cubin, err = newCubinInfo(p, program.Target); err != nil {
		return nil, err
	}
	if r.PTX != nil {
		r.Buckets = program.Buckets(bucketTokens)
	}
	entries, err := newEntries(p, program.Target)
	if err != nil {
		return nil, err
	}
	for i := range program.Launches {
		r.Launches = append(r.Launches, newLaunch(p, program, &program.Launches[i]))
		r.Launches[i].Code = entries.codes(program.Launches[i].Code)
		if program.Launches[i].Sync {
			r.Barriers++
		}
	}
	for _, s := range Steps {
		predict := newPredictor(sourceOf(p), program, r.Nominal, r.Cores, s)
		total := StepCost{Step: predict.step}
		for i := range program.Launches {
			var cost Cost
			if !predict.leftOut(&program.Launches[i]) {
				total.Launches++
				if cost, err = predict.launch(&program.Launches[i]); err != nil {
					return nil, err
				}
			}
			r.Launches[i].Steps = append(r.Launches[i].Steps, cost)
			total.add(cost)
		}
		if total.Seconds > 0 {
			total.TokensPerSecond = float64(total.Tokens) / total.Seconds
		}
		r.Steps = append(r.Steps, total)
	}
	return r, nil
}

func newLaunch(p *engine.Plan, program *engine.Program, l *engine.Launch) Launch {
	out := Launch{Kernel: l.Kernel, Label: l.Label, Sync: l.Sync}
	model := kernelCosts[l.Kernel]
	for _, o := range l.Operands {
		if o.Kind != engine.OperandWeight {
			continue
		}
		w, _, err := p.Weight(program.Weights[o.Index])
		if err != nil {
			continue
		}
		bytes := w.Bytes
		if model.rowsOnly {
			bytes /= max(1, w.N())
		}
		out.WeightBytes += bytes
		if model.flops != nil {
			out.Flops += 2 * w.N() * w.K() * resultsPerRow(program, l)
		}
	}
	return out
}
