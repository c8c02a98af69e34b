package server

import (
	"math/rand/v2"
	"slices"
	"time"

	"llmc/runtime"
	"llmc/runtime/grammar"
	"llmc/runtime/server/strictjson"
)

// request is the decoded body of an endpoint of the table of fields.
type request struct {
	on      endpoints
	newID   func() string
	name    string    // of the model, as asked for
	arrived time.Time // zero: when it is submitted
	model   *Model

	prompts       []prompt
	messages      bool // chat.Messages was given
	chat          ChatPrompt
	continueFinal bool
	finalText     string      // content of the last message
	images        [][]byte    // files, in the order of the conversation
	pixels        [][]float32 // of encoders: images that are prepared
	choice        toolChoice
	severalCalls  bool // parallel_tool_calls
	showReasoning bool
	addSpecial    *bool   // nil: what is usual for the kind of prompt
	tokens        []int32 // of detokenize
	tokenStrings  bool

	tgi          tgiOptions
	responses    responseOptions
	excludeInput bool // the text of an answer to Triton's clients does not begin with the prompt
	inputs       bool // the prompt came as "inputs", in the words of Text Generation Inference

	promptName         string // of embeddings: what precedes the texts
	base64             bool   // embeddings as bytes
	dimensions         int    // of embeddings that are wanted; unset: all
	queries, documents []string
	rows               [][]int32 // of encoders: sequences of tokens instead of texts
	encodedTokens      int       // of the sequences so far
	pictureBytes       int64     // that pictures has taken
	topN               int       // documents that are wanted; unset: all
	returnDocuments    bool

	constraint   grammar.Source // what the output keeps to
	constraintBy string         // field that says so

	timeouts  timeouts
	beams     beamFields
	base      runtime.Request // what all generations have in common
	maxTokens int             // unset: not given
	seeded    bool
	choices   int // n
	bestOf    int // unset: n

	stream       bool
	streamUsage  bool // a last chunk with the usage
	chunkUsage   bool // the usage so far in every chunk
	streamOpts   bool // stream_options was given
	echo         bool
	logprobs     int // of each position the n most likely; unset: none
	topLogprobs  int // as given, chat only
	wantLogprobs bool
	returnIDs    bool
}

// unset marks integers that a request left open.
const unset = -1

// defaultMaxTokens is what /v1/completions generates when the request does not say.
const defaultMaxTokens = 16

// newRequest returns a request that leaves all open to the model's own defaults.
func newRequest(on endpoints, m *Model) *request {
	r := &request{on: on, model: m, maxTokens: unset, choices: 1, bestOf: unset, beams: beamFields{lengthPenalty: 1}, logprobs: unset, topLogprobs: unset, dimensions: unset, topN: unset, returnDocuments: true}
	r.chat.AddGenerationPrompt, r.severalCalls, r.showReasoning = true, true, true
	r.base.SkipSpecial = true
	r.base.PromptLogprobs = -1
	r.base.Sampling = neutralSampling
	if on&(inTGIsWords|onTriton) != 0 {
		return r
	}
	// As vLLM does, a value in generation_config.json is the default whether or not do_sample is set there.
	d, s := m.Info.Generation, &r.base.Sampling
	orDefault(&s.Temperature, d.Temperature)
	orDefault(&s.TopP, d.TopP)
	orDefault(&s.TopK, d.TopK)
	orDefault(&s.MinP, d.MinP)
	orDefault(&s.RepetitionPenalty, d.RepetitionPenalty)
	s.TopK = max(0, s.TopK) // -1 is "off" in some checkpoints
	return r
}

func orDefault[T any](value *T, byModel *T) {
	if byModel != nil {
		*value = *byModel
	}
}

// decode reads the body of a request.
func (s *Server) decode(on endpoints, body []byte) (*request, error) {
	value, err := strictjson.Check(body)
	if err != nil {
		return nil, invalid("", "invalid_json", "the body is not valid JSON: %v", err)
	}
	members, ok := value.Object()
	if !ok {
		return nil, invalid("", "invalid_type", "the body must be a JSON object, not %s", value.Kind())
	}
	members = slices.DeleteFunc(members, func(m strictjson.Member) bool { return m.Value.IsNull() })
	r, err := s.forModel(on, members)
	if err != nil {
		return nil, err
	}
	rules := fieldsOf[on]
	for _, m := range members {
		apply, known := rules[m.Key]
		if !known {
			return nil, unknownField(m.Key, rules)
		}
		if err := apply(r, m.Value); err != nil {
			return nil, err.of(m.Key)
		}
		if r.constraint.Kind != grammar.None && r.constraintBy == "" {
			r.constraintBy = m.Key
		}
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, nil
}

// forModel finds the model first: it has the defaults and the bounds of the other fields.
func (s *Server) forModel(on endpoints, members []strictjson.Member) (*request, error) {
	name := ""
	for _, m := range members {
		switch {
		case m.Key == "model":
			name, _ = m.Value.Text()
		case m.Key == "parameters" && on&inTGIsWords != 0:
			if adapter := adapterOf(m.Value); adapter != "" {
				name = adapter
			}
		}
	}
	model, err := s.models.find(name)
	if err != nil {
		return nil, err
	}
	if err := model.serves(on); err != nil {
		return nil, err
	}
	r := newRequest(on, model)
	r.newID = s.newID
	return r, nil
}

// serves refuses endpoints that the model's kind has not.
func (m *Model) serves(on endpoints) error {
	switch {
	case m.Node != nil:
		return invalid("model", "unsupported_endpoint", "the model %.200q is made of tensors; use /v2/models/%.200s/infer", m.Name, m.Name)
	case on&generating != 0 && m.Encoder != nil:
		return invalid("model", "unsupported_endpoint", "the model %.200q makes %s, it generates none; use %s", m.Name, m.makes(), madeOf[m.Encoder.Gives()].use)
	case on&(onTokenize|onDetokenize) != 0 && m.Tokenizer == nil:
		return invalid("model", "unsupported_endpoint", "the model %.200q makes %s; it has no tokenizer", m.Name, m.makes())
	case on&encoding != 0 && m.Encoder == nil:
		return invalid("model", "unsupported_endpoint", "the model %.200q generates text; for embeddings and scores serve the plan of an encoder", m.Name)
	case on&encoding != 0 && madeOf[m.Encoder.Gives()].on&on == 0:
		return invalid("model", "unsupported_endpoint", "the model %.200q makes %s; use %s", m.Name, m.makes(), madeOf[m.Encoder.Gives()].use)
	case on&comparing != 0 && !reads(m.Encoder.Reads()):
		return invalid("model", "unsupported_endpoint", "the model %.200q makes %s; only texts are compared", m.Name, m.makes())
	}
	return nil
}

// makes says what an encoder makes of what.
func (m *Model) makes() string {
	of := "texts"
	switch texts, images := m.Encoder.Reads(); {
	case texts && images:
		of = "texts or images"
	case images:
		of = "images"
	}
	return madeOf[m.Encoder.Gives()].what + " of " + of
}

func reads(texts, _ bool) bool { return texts }

// of names the field that an error of a rule is about.
func (e *apiError) of(field string) *apiError {
	e.param = field
	e.message = field + ": " + e.message
	return e
}

// unknownField refuses a key and names the one that may have been meant.
func unknownField(key string, rules map[string]rule) *apiError {
	const far = 3 // edits
	hint, best := "", far
	for name := range rules {
		if d := edits(key, name, far); d < best || d == best && d < far && name < hint {
			hint, best = name, d
		}
	}
	if hint != "" {
		hint = "; did you mean " + hint + "?"
	}
	return invalid(clip(key, maxParam), "unknown_parameter",
		"unknown parameter %.64q: it is refused because ignoring it could change the result%s", key, hint)
}

// conflicts are the rules about more than one field, and about fields that must be there (why is empty).
var conflicts = []struct {
	on    endpoints
	param string
	holds func(*request) bool
	why   string
}{
	{onCompletions, "prompt", func(r *request) bool { return len(r.prompts) == 0 }, ""},
	{onChat, "messages", func(r *request) bool { return !r.messages }, ""},
	{inTGIsWords, "inputs", func(r *request) bool { return len(r.prompts) == 0 }, ""},
	{onTriton, textInput, func(r *request) bool { return len(r.prompts) == 0 }, ""},
	{inTGIsWords, "best_of", func(r *request) bool { return r.bestOf > 1 && r.stream }, "the best can not be streamed before all are known"},
	{onTokenize, "prompt", func(r *request) bool { return r.messages == (len(r.prompts) > 0) }, "give either prompt or messages"},
	{onTokenize, "prompt", func(r *request) bool { return len(r.prompts) > 1 || len(r.prompts) == 1 && !r.prompts[0].isText },
		"must be a string"},
	{onEmbeddings, "input", func(r *request) bool { return len(r.prompts)+len(r.images) == 0 }, ""},
	{onEmbeddings, "dimensions", func(r *request) bool { return r.dimensions != unset && r.dimensions > r.model.Encoder.Width() },
		"is more than the embeddings of this model have"},
	{onRerank, "query", func(r *request) bool { return len(r.queries) == 0 }, ""},
	{onRerank, "documents", func(r *request) bool { return len(r.documents) == 0 }, ""},
	{onScore, "text_1", func(r *request) bool { return len(r.queries) == 0 }, ""},
	{onScore, "text_2", func(r *request) bool { return len(r.documents) == 0 }, ""},
	{onScore, "text_1", func(r *request) bool { return len(r.queries) != 1 && len(r.queries) != len(r.documents) },
		"must be one text, or as many as text_2 has"},
	{onDetokenize, "tokens", func(r *request) bool { return r.tokens == nil }, ""},
	{onResponses, "input", func(r *request) bool { return r.responses.input == nil }, ""},
	{chatting | onTokenize, "messages", func(r *request) bool { return (r.messages || r.on == onResponses) && r.model.Chat == nil },
		"the model has no chat template; use /v1/completions"},
	{onChat | onTokenize, "continue_final_message", func(r *request) bool { return r.continueFinal && r.chat.AddGenerationPrompt },
		"needs add_generation_prompt: false, the two contradict each other"},
	{onChat, "top_logprobs", func(r *request) bool { return r.topLogprobs != unset && !r.wantLogprobs }, "needs logprobs: true"},
	{generating, "stream_options", func(r *request) bool { return r.streamOpts && !r.stream }, "needs stream: true"},
	{generating, "max_tokens", func(r *request) bool { return r.maxTokens == 0 && !r.echo },
		"must be at least 1; completions with echo: true may ask for 0"},
	{onCompletions, "best_of", func(r *request) bool { return r.bestOf != unset && r.bestOf < r.choices }, "must not be below n"},
	{onCompletions, "best_of", func(r *request) bool { return r.bestOf > r.choices && r.stream },
		"the best can not be streamed before all are known"},
	{choosing, "stream", func(r *request) bool { return r.beams.wanted && r.stream }, "the best beams can not be streamed before all are known"},
	{choosing, "use_beam_search", func(r *request) bool { return r.beams.wanted && (r.echo || r.bestOf != unset || r.choice.forced()) },
		"can not be combined with echo, best_of or a forced tool_choice"},
	{choosing, "length_penalty", func(r *request) bool { return !r.beams.wanted && r.beams.given }, "length_penalty and early_stopping belong to use_beam_search: true"},
	{generating, "n", func(r *request) bool { return len(r.prompts)*r.generations() > maxSequences }, "too many prompts times choices"},
	{generating, "min_tokens", func(r *request) bool { return r.maxTokens != unset && r.base.MinTokens > r.maxTokens },
		"must not be above max_tokens"},
}

// check applies the rules about more than one field and fills in what follows from the fields.
func (r *request) check() error {
	for _, c := range conflicts {
		if c.on&r.on == 0 || !c.holds(r) {
			continue
		}
		if c.why == "" {
			return missing(c.param)
		}
		return invalid(c.param, "invalid_value", "%s: %s", c.param, c.why)
	}
	if r.on == onResponses {
		if err := r.readInput(); err != nil {
			return err
		}
	}
	if r.on&inTGIsWords != 0 {
		r.asTGI()
	}
	if r.wantLogprobs {
		r.logprobs = max(0, r.topLogprobs)
	}
	r.base.Sampling.Logprobs = int32(r.logprobs)
	if r.echo && r.logprobs != unset {
		r.base.PromptLogprobs = r.logprobs
	}
	if r.generations() > r.choices { // the ranking needs the probability of every token
		r.base.Sampling.Logprobs = max(0, r.base.Sampling.Logprobs)
	}
	if r.choice.none {
		r.chat.Tools = nil
	}
	if err := r.force(); err != nil {
		return err
	}
	if r.on&chatting != 0 && r.model.Replies.Marked(r.model.special) {
		r.base.SkipSpecial = false // they tell the parts of a reply apart
	}
	if !r.seeded {
		r.base.Sampling.Seed = rand.Uint64()
	}
	return nil
}

// generations is how many continuations of each prompt are made.
func (r *request) generations() int { return max(r.choices, r.bestOf) }
