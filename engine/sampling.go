package engine

// Sampling says how a token is chosen from logits. The zero value with Temperature 0 is greedy.
// Steps, in this order, as vLLM and the OpenAI API define them: logit bias and allowed mask, repetition, frequency and presence
// penalties, temperature, top-k, top-p, min-p, draw. Log-probabilities are those of the raw logits.
type Sampling struct {
	Temperature float32
	TopK        int32   // 0: off
	TopP        float32 // 1 or 0: off
	MinP        float32 // 0: off

	RepetitionPenalty float32 // 1 or 0: off; applies to prompt and output tokens
	PresencePenalty   float32 // 0: off; output tokens only
	FrequencyPenalty  float32 // 0: off; output tokens only

	Bias []TokenBias // added to the logits
	// Banned tokens can not be drawn (the end-of-sequence tokens before MinTokens, for instance).
	Banned []int32
	// Allowed has a bit for every token that can be drawn, token i at bit i%32 of word i/32; nil: all. It comes after the penalties, which
	// changes nothing of what is drawn.
	Allowed []uint32

	Seed     uint64 // the draw at a position depends on (Seed, position) alone
	Logprobs int32  // -1: none; n: the chosen token's and the n most likely
}

// TokenBias is one entry of a logit bias.
type TokenBias struct {
	Token int32
	Bias  float32
}

// Greedy tells whether the choice is the plain maximum of the logits, nothing else to be computed.
func (s *Sampling) Greedy() bool {
	return s == nil || s.Temperature == 0 && !s.Penalized() && len(s.Bias) == 0 && len(s.Banned) == 0 &&
		s.Allowed == nil && s.Logprobs < 0
}

// Penalized tells whether the tokens seen so far change the logits.
func (s *Sampling) Penalized() bool {
	return s.PresencePenalty != 0 || s.FrequencyPenalty != 0 || (s.RepetitionPenalty != 0 && s.RepetitionPenalty != 1)
}

// TokenHistory counts the tokens of one sequence, for penalties.
type TokenHistory struct {
	counts  map[int32]tokenCount
	outputs []int32
}

type tokenCount struct {
	output int32
	prompt bool
}

// NewTokenHistory returns the history of a sequence that has only its prompt.
func NewTokenHistory(prompt []int32) *TokenHistory {
	h := &TokenHistory{counts: make(map[int32]tokenCount, len(prompt))}
	for _, id := range prompt {
		h.counts[id] = tokenCount{prompt: true}
	}
	return h
}

// Add counts one output token.
func (h *TokenHistory) Add(id int32) {
	c := h.counts[id]
	c.output++
	h.counts[id] = c
	h.outputs = append(h.outputs, id)
}

// Outputs returns the tokens that were added, in their order.
func (h *TokenHistory) Outputs() []int32 { return h.outputs }

// Len returns how many different tokens were seen.
func (h *TokenHistory) Len() int { return len(h.counts) }

// Each calls yield for every token seen, in no particular order.
func (h *TokenHistory) Each(yield func(id int32, outputs int32, inPrompt bool)) {
	for id, c := range h.counts {
		yield(id, c.output, c.prompt)
	}
}
