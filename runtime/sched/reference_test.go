package sched

import (
	"slices"

	"llmc/engine"
)

// answer is what became of a request.
type answer struct {
	output  []int32
	finish  Finish
	prompt  []engine.Sampled
	samples []engine.Sampled
}

// words returns what the cache of an unbatched run holds for tokens behind a prompt of the given length, which attend to a text.
func words(salt string, text, tokens []int32, prompt int) (cells []uint64, prefix uint64) {
	prefix = behind(text)
	for p, id := range tokens {
		w := word(salt, prefix, id, int32(p), int32(max(prompt, p+1)))
		cells = append(cells, w)
		prefix = scramble(prefix, w)
	}
	return cells, prefix
}

// wholeLength returns the length for which all tokens of a sequence are turned: that of its prompt, or, once the sequence is longer
// than the limit, any length above it where models know two (longrope), its own where each length is another (dynamic).
func wholeLength(salt string, tokens, prompt int) int {
	limit := int32(0)
	switch {
	case regimeIs(salt, "longrope:%d", &limit) && tokens > int(limit):
		return max(prompt, int(limit)+1)
	case regimeIs(salt, "dynamic:%d", &limit) && tokens > int(limit):
		return tokens
	}
	return prompt
}

// alone computes a request without pages, batches or chunks.
func alone(c Config, r Request) answer {
	var a answer
	tokens := slices.Clone(r.Prompt)
	limit := c.MaxContext
	if r.MaxTokens > 0 {
		limit = min(limit, len(tokens)+r.MaxTokens)
	}
	if r.PromptLogprobs >= 0 {
		a.prompt = promptAlone(c, r)
	}
	var history *engine.TokenHistory
	if r.Sampling.Penalized() {
		history = engine.NewTokenHistory(r.Prompt)
	}
	for {
		sampling := r.Sampling
		if len(a.output) < r.MinTokens {
			sampling.Banned = append(slices.Clone(sampling.Banned), r.StopTokens...)
		}
		out := len(a.output)
		if out < len(r.First) {
			sampling.Bias = []engine.TokenBias{{Token: r.First[out], Bias: forcingBias}}
		} else if last := len(tokens) - (limit - len(r.Last)); last >= 0 {
			sampling.Bias = []engine.TokenBias{{Token: r.Last[last], Bias: forcingBias}}
		}
		_, prefix := words(c.RopeSalt, r.Source, tokens, wholeLength(c.RopeSalt, len(tokens), len(r.Prompt)))
		sampled := choose(prefix, c.Vocab, int32(len(tokens)), &sampling, history)
		if history != nil {
			history.Add(sampled.Token)
		}
		a.output = append(a.output, sampled.Token)
		tokens = append(tokens, sampled.Token)
		switch {
		case slices.Contains(r.StopTokens, sampled.Token):
			a.finish = StopToken
			return a
		case len(tokens) >= limit:
			a.finish = Length
			return a
		}
	}
}

func promptAlone(c Config, r Request) []engine.Sampled {
	results := []engine.Sampled{{Token: r.Prompt[0]}}
	for p := 1; p < len(r.Prompt); p++ {
		_, prefix := words(c.RopeSalt, r.Source, r.Prompt[:p], len(r.Prompt))
		results = append(results, engine.Sampled{Token: r.Prompt[p], Logprob: -float32(scramble(prefix, uint64(r.Prompt[p])) % 1000)})
	}
	return results
}
