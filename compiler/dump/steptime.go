package dump

import (
	"context"
	"fmt"
	"slices"
	"time"

	"llmc/engine"
)

// StepTimes foretell what any step of a server takes, from what steps of some sizes are predicted to take: what a step of so many tokens takes by itself, more for each position of the
// cache that they read. So steps that decode and take in prompts need no prediction of their own.
type StepTimes struct {
	sizes  []int64   // of steps, ascending from 1
	prompt []float64 // seconds of a step with so many tokens of one prompt, from its beginning
	decode []float64 // seconds of a step that decodes so many sequences
	cached float64   // seconds for each position that a sequence reads that decodes
	pair   float64   // seconds for each token of a prompt and position before this part of it
}

// Steps that slopes are taken from.
const (
	nearContext = 16
	farContext  = 4096
	farDecode   = 64
	farPrompt   = 512
)

// NewStepTimes predicts steps of up to so many tokens of a program of a plan, on a card or, where that is nil, on cores at nominal figures.
func NewStepTimes(ctx context.Context, p *engine.Plan, program *engine.Program, card *engine.Card, cores int, most int64) (*StepTimes, error) {
	t := &StepTimes{}
	for n := int64(1); n < most; n *= 2 {
		t.sizes = append(t.sizes, n)
	}
	t.sizes = append(t.sizes, most)
	var steps []Step
	for _, n := range t.sizes {
		steps = append(steps, Step{Tokens: n, Sequences: n, Context: nearContext}, Step{Tokens: n, Sequences: 1, Context: n})
	}
	longest := int64(p.Info().MaxContext)
	far, decode, prompt := min(farContext, longest), min(farDecode, most), min(farPrompt, most, longest/2)
	steps = append(steps, Step{Tokens: decode, Sequences: decode, Context: nearContext}, Step{Tokens: decode, Sequences: decode, Context: far},
		Step{Tokens: prompt, Sequences: 1, Context: prompt}, Step{Tokens: prompt, Sequences: 1, Context: far})
	var seconds []float64
	var err error
	if card != nil {
		seconds, err = onCard(ctx, p, program, card, steps)
	} else {
		seconds, err = onCores(p, program, cores, steps)
	}
	if err != nil {
		return nil, err
	}
	for i := range t.sizes {
		t.decode, t.prompt = append(t.decode, seconds[2*i]), append(t.prompt, seconds[2*i+1])
	}
	last := seconds[2*len(t.sizes):]
	if far > nearContext {
		t.cached = max(0, last[1]-last[0]) / float64(decode*(far-nearContext))
	}
	if far > prompt {
		t.pair = max(0, last[3]-last[2]) / float64(prompt*(far-prompt))
	}
	return t, nil
}

// TargetOn returns the target of a plan that serves a card best or, where that is nil, CPUs: of these the last that the plan has.
func TargetOn(p *engine.Plan, card *engine.Card) (string, error) {
	best := ""
	for _, name := range p.Targets(p.Main()) {
		target, err := engine.FindTarget(name)
		if err != nil || (card == nil) != (target.Device == "cpu") || card != nil && !card.Runs(target) {
			continue
		}
		best = name
		if card != nil && card.Target == name { // no other fits it better
			break
		}
	}
	switch {
	case best == "" && card != nil:
		return "", fmt.Errorf("%s: no program for the card %s; the plan's targets are %v", p.Path(), card.Name, p.Targets(p.Main()))
	case best == "":
		return "", fmt.Errorf("%s: no program for CPUs; the plan's targets are %v: name a card", p.Path(), p.Targets(p.Main()))
	}
	return best, nil
}

// onCard predicts steps by the code and the card's data sheet.
func onCard(ctx context.Context, p *engine.Plan, program *engine.Program, card *engine.Card, steps []Step) (seconds []float64, err error) {
	code, err := readCode(ctx, p, program, "")
	if err != nil {
		return nil, err
	}
	report, err := code.On(card, steps)
	if err != nil {
		return nil, err
	}
	for _, s := range report.Steps {
		seconds = append(seconds, s.Seconds)
	}
	return seconds, nil
}

// onCores predicts steps by the roofline.
func onCores(p *engine.Plan, program *engine.Program, cores int, steps []Step) (seconds []float64, err error) {
	target, err := engine.FindTarget(program.Target)
	if err != nil {
		return nil, err
	}
	for _, s := range steps {
		predict, all := newPredictor(sourceOf(p), program, &target.Nominal, cores, s), Cost{}
		for i := range program.Launches {
			cost, err := predict.launch(&program.Launches[i])
			if err != nil {
				return nil, err
			}
			all.add(cost)
		}
		seconds = append(seconds, all.Seconds)
	}
	return seconds, nil
}

// Of returns what a step takes.
func (t *StepTimes) Of(st *engine.Step) time.Duration {
	decoding, seconds := int64(0), 0.0
	for b := range st.B() {
		n, context := int64(st.SeqStart[b+1]-st.SeqStart[b]), int64(st.Context[b])
		if n == 1 {
			decoding++
			seconds += t.cached * float64(max(0, context-nearContext))
		} else {
			seconds += t.pair * float64(n*(context-n))
		}
	}
	all := int64(st.T())
	if all == decoding {
		seconds += t.at(t.decode, all)
	} else {
		seconds += t.at(t.prompt, all)
		if decoding > 0 {
			seconds += max(0, t.at(t.decode, decoding)-t.at(t.prompt, decoding))
		}
	}
	return time.Duration(seconds * float64(time.Second))
}

// at reads a curve at a size, between two of its points on the line through them.
func (t *StepTimes) at(curve []float64, n int64) float64 {
	i, found := slices.BinarySearch(t.sizes, n)
	switch {
	case found || i == 0:
		return curve[i]
	case i == len(t.sizes):
		return curve[i-1] / float64(t.sizes[i-1]) * float64(n)
	}
	part := float64(n-t.sizes[i-1]) / float64(t.sizes[i]-t.sizes[i-1])
	return curve[i-1] + part*(curve[i]-curve[i-1])
}
