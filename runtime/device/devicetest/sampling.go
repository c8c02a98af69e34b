package devicetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"llmc/engine"
	"llmc/runtime/sample"
	"llmc/runtime/sched"
)

// Sampling serves requests with all ways to sample and wants the tokens and log-probabilities of runtime/sample, to the bit: first with
// everything checked against the logits, then without anybody asking for logits.
func Sampling(t *testing.T, device engine.Device, plan *engine.Plan, vocab, context int) {
	t.Helper()
	settings := engine.Settings{MaxStepTokens: 64, MaxSequences: 5, MaxContext: context, PageSize: 16, Threads: 2}
	var outputs [2]map[string][]int32
	for i, checked := range []bool{true, false} {
		model, err := device.Load(plan, settings)
		check(t, err)
		if checked {
			model = &sampleChecker{Model: model, t: t, vocab: vocab, sampler: sample.New(vocab)}
		}
		outputs[i] = serve(t, model, vocab, samplingRequests(vocab))
		check(t, model.Close())
	}
	if !reflect.DeepEqual(outputs[0], outputs[1]) {
		t.Errorf("tokens with logits asked for and without: %v and %v", outputs[0], outputs[1])
	}
}

// sampleChecker compares what a model samples with what its logits give.
type sampleChecker struct {
	engine.Model
	t       *testing.T
	vocab   int
	sampler *sample.Sampler
}

// Step implements engine.Model.
func (c *sampleChecker) Step(step *engine.Step, out []engine.Sampled) error {
	for i := range step.Rows {
		step.Rows[i].Logits = make([]float32, c.vocab)
	}
	if err := c.Model.Step(step, out); err != nil {
		return err
	}
	for i := range step.Rows {
		row, want := step.Rows[i], engine.Sampled{}
		logits := row.Logits
		row.Logits = nil
		_ = c.sampler.Sample(&row, logits, &want)
		if got := out[i]; got.Token != want.Token || math.Float32bits(got.Logprob) != math.Float32bits(want.Logprob) ||
			fmt.Sprint(got.Top) != fmt.Sprint(want.Top) {
			c.t.Errorf("row %d, %+v: sampled %+v, want %+v", i, row.Sampling, got, want)
		}
	}
	return nil
}

func samplingRequests(vocab int) []sched.Request {
	random := rand.New(rand.NewPCG(3, 4))
	var requests []sched.Request
	for i, s := range []engine.Sampling{
		{Logprobs: -1},
		{Temperature: 1, Logprobs: -1},
		{Temperature: 0.8, TopP: 0.9, RepetitionPenalty: 1.2, Logprobs: 3},
		{Temperature: 1.2, TopK: 20, MinP: 0.02, FrequencyPenalty: 0.3, PresencePenalty: 0.1, Logprobs: 0},
		{Bias: []engine.TokenBias{{Token: 3, Bias: 2}, {Token: 9, Bias: -1}}, PresencePenalty: 0.5, Logprobs: 5},
		{Temperature: 0.7, TopK: 5, Banned: []int32{1, 2, 2}, Logprobs: -1},
	} {
		prompt := make([]int32, 3+random.IntN(20))
		for j := range prompt {
			prompt[j] = random.Int32N(int32(vocab))
		}
		s.Seed = uint64(i)
		requests = append(requests, sched.Request{Prompt: prompt, MaxTokens: 8, MinTokens: i, StopTokens: []int32{7}, Sampling: s,
			PromptLogprobs: i%3 - 1, Owner: fmt.Sprint("request ", i)})
	}
	requests[1].Sampling.Allowed = make([]uint32, (vocab+31)/32)
	for i := range requests[1].Sampling.Allowed {
		requests[1].Sampling.Allowed[i] = random.Uint32()
	}
	return requests
}

// serve runs requests to their ends and returns their tokens.
func serve(t *testing.T, model engine.Model, vocab int, requests []sched.Request) map[string][]int32 {
	t.Helper()
	limits, pages := model.Limits()
	s, err := sched.New(sched.Config{Settings: limits, Pages: pages, Vocab: vocab})
	check(t, err)
	for _, r := range requests {
		_, err := s.Add(r)
		check(t, err)
	}
	tokens := map[string][]int32{}
	d := driver{t: t, model: model, s: s}
	for s.HasWork() {
		st := d.schedule()
		if st.T() == 0 {
			s.TakeOutputs(nil)
			continue
		}
		out := make([]engine.Sampled, len(st.Rows))
		check(t, model.Step(st, out))
		s.Complete(out)
		for _, o := range s.TakeOutputs(nil) {
			if o.Row >= 0 {
				name := o.Seq.Owner().(string)
				tokens[name] = append(tokens[name], out[o.Row].Token)
			}
		}
	}
	return tokens
}
