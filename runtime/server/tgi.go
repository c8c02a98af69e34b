package server

import (
	"strconv"

	"github.com/valyala/fasthttp"

	"llmc/engine"
	"llmc/runtime"
)

// tgiRoutes are those of Text Generation Inference (docs/openapi.json of its repository), which its clients and huggingface_hub's InferenceClient call.
var tgiRoutes = []route{
	{method: "POST", path: "/", handle: (*Server).tgiCompatible, refusal: inTGIWords},
	{method: "POST", path: "/generate", handle: (*Server).tgiGenerate, refusal: inTGIWords},
	{method: "POST", path: "/generate_stream", handle: (*Server).tgiStream, refusal: inTGIWords},
	{method: "POST", path: "/chat_tokenize", handle: (*Server).chatTokenize, refusal: inTGIWords},
	{method: "GET", path: "/info", handle: (*Server).tgiInfo, refusal: inTGIWords},
}

// tgiErrors are the words of Text Generation Inference for errors, by the status that the OpenAI API has for them.
var tgiErrors = map[int]struct {
	status int
	kind   string
}{
	400: {422, "validation"},
	404: {404, "validation"},
	429: {429, "overloaded"},
	500: {424, "generation"},
	503: {503, "overloaded"},
	504: {504, "incomplete_generation"},
}

type tgiError struct {
	Error string `json:"error"`
	Kind  string `json:"error_type"`
}

func inTGIWords(e *apiError) (int, any) {
	status, body := asTGIError(e)
	return status, body
}

func asTGIError(e *apiError) (status int, body tgiError) {
	known, ok := tgiErrors[e.status]
	if !ok {
		known.status, known.kind = e.status, "validation"
	}
	return known.status, tgiError{e.message, known.kind}
}

// tgiGenerate answers POST /generate.
func (s *Server) tgiGenerate(c *fasthttp.RequestCtx) error {
	return s.generate(c, onGenerate, inTGI(false))
}

// tgiStream answers POST /generate_stream.
func (s *Server) tgiStream(c *fasthttp.RequestCtx) error {
	return s.generate(c, onGenerateStream, inTGI(false))
}

// tgiCompatible answers POST /, as the Hub's inference API did: a list of one, or a stream.
func (s *Server) tgiCompatible(c *fasthttp.RequestCtx) error {
	return s.generate(c, onGenerate, inTGI(true))
}

// inTGI is the dialect of Text Generation Inference, whose whole answer is a list of one or that one.
func inTGI(list bool) speaking {
	return func(_ *Server, r *request) dialect { return &tgi{req: r, list: list} }
}

// tgi is the dialect of one request, which has one prompt.
type tgi struct {
	req    *request
	list   bool   // the answer is a list of one
	tokens int    // of the stream so far
	text   []byte // likewise
	last   engine.Sampled
}

func (d *tgi) begin(dst []byte, _ *batch) []byte { return dst }

func (d *tgi) arrival(dst []byte, _ *batch, c *choice, p piece) []byte {
	d.text = append(d.text, p.text...)
	if c.finish != "" && len(p.samples) == 0 { // every event has a token, and so has the one that tells of the end
		p.samples = []engine.Sampled{d.last}
	}
	for _, s := range p.samples {
		d.tokens++
		d.last = s
		dst = strconv.AppendInt(append(dst, `data:{"index":`...), int64(d.tokens), 10)
		dst = d.token(append(dst, `,"token":`...), s, p.text)
		dst = d.top(dst, `,"top_tokens":`, s)
		dst = append(dst, `,"generated_text":`...)
		if c.finish == "" {
			dst = append(dst, "null,\"details\":null}\n\n"...)
			continue
		}
		dst = appendQuoted(dst, d.fullText(c, string(d.text)))
		dst = d.ending(append(dst, `,"details":{`...), c)
		dst = strconv.AppendInt(append(dst, `,"input_length":`...), int64(len(c.prompt.ids)), 10)
		dst = append(dst, "}}\n\n"...)
	}
	return dst
}

func (d *tgi) end(dst []byte, _ *batch) []byte { return dst }

func (d *tgi) failure(dst []byte, e *apiError) []byte {
	_, body := asTGIError(e)
	dst = appendQuoted(append(dst, `data:{"error":`...), body.Error)
	dst = appendQuoted(append(dst, `,"error_type":`...), body.Kind)
	return append(dst, "}\n\n"...)
}

func (d *tgi) whole(dst []byte, b *batch) []byte {
	ranked := b.ranked(0, b.req.generations())
	if d.list {
		dst = append(dst, '[')
	}
	dst = appendQuoted(append(dst, `{"generated_text":`...), d.fullText(ranked[0], ranked[0].all.text))
	if d.req.tgi.details {
		dst = d.details(append(dst, `,"details":{`...), ranked[0])
		for i, c := range ranked[1:] {
			if i == 0 {
				dst = append(dst, `,"best_of_sequences":[`...)
			} else {
				dst = append(dst, ',')
			}
			dst = appendQuoted(append(dst, `{"generated_text":`...), d.fullText(c, c.all.text))
			dst = append(d.details(append(dst, ','), c), '}')
		}
		if len(ranked) > 1 {
			dst = append(dst, ']')
		}
		dst = append(dst, '}')
	}
	dst = append(dst, '}')
	if d.list {
		dst = append(dst, ']')
	}
	return dst
}

// fullText is the text of a choice: with the stop string that ended it, and behind the prompt if that was asked for.
func (d *tgi) fullText(c *choice, text string) string {
	if stop, ok := c.reason.(string); ok {
		text += stop
	}
	if d.req.tgi.fullText {
		text = c.prompt.text + text
	}
	return text
}

// details appends the members that tell of a whole choice.
func (d *tgi) details(dst []byte, c *choice) []byte {
	dst = d.ending(dst, c)
	dst = append(dst, `,"prefill":[`...)
	if d.req.tgi.prefill {
		for i, s := range promptSamples(c) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(append(dst, `{"id":`...), int64(s.Token), 10)
			dst = appendTokenText(append(dst, `,"text":`...), d.req.model.Tokenizer.Token(s.Token), "")
			dst = append(appendLogprob(append(dst, `,"logprob":`...), s.Logprob), '}')
		}
	}
	dst = append(dst, `],"tokens":[`...)
	for i, s := range c.all.samples {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = d.token(dst, s, d.req.model.Tokenizer.Decode([]int32{s.Token}, false))
	}
	dst = append(dst, ']')
	if d.req.tgi.top == 0 {
		return dst
	}
	dst = append(dst, `,"top_tokens":[`...)
	for i, s := range c.all.samples {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = d.top(dst, "", s)
	}
	return append(dst, ']')
}

// finishes are the reasons in the words of Text Generation Inference.
var finishes = map[runtime.Finish]string{runtime.FinishLength: "length", runtime.FinishStop: "eos_token"}

// ending appends the members that tell how a choice ended.
func (d *tgi) ending(dst []byte, c *choice) []byte {
	reason := finishes[c.finish]
	if c.reason != nil {
		reason = "stop_sequence"
	}
	dst = appendQuoted(append(dst, `"finish_reason":`...), reason)
	dst = strconv.AppendInt(append(dst, `,"generated_tokens":`...), int64(c.usage.OutputTokens), 10)
	dst = append(dst, `,"seed":`...)
	if d.req.base.Sampling.Temperature == 0 {
		return append(dst, "null"...)
	}
	return strconv.AppendUint(dst, d.req.base.Sampling.Seed+uint64(c.index%d.req.generations()), 10)
}

// token appends a token as an object. Special ones have their names as texts.
func (d *tgi) token(dst []byte, s engine.Sampled, text string) []byte {
	tok := d.req.model.Tokenizer
	special := isSpecial(tok, s.Token)
	if special {
		text = string(tok.Token(s.Token))
	}
	dst = strconv.AppendInt(append(dst, `{"id":`...), int64(s.Token), 10)
	dst = appendQuoted(append(dst, `,"text":`...), text)
	dst = appendLogprob(append(dst, `,"logprob":`...), s.Logprob)
	dst = strconv.AppendBool(append(dst, `,"special":`...), special)
	return append(dst, '}')
}

// top appends the alternatives of a token if they were asked for.
func (d *tgi) top(dst []byte, key string, s engine.Sampled) []byte {
	if d.req.tgi.top == 0 {
		return dst
	}
	dst = append(append(dst, key...), '[')
	for i, alternative := range s.Top[:min(d.req.tgi.top, len(s.Top))] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = d.token(dst, engine.Sampled{Token: alternative.Token, Logprob: alternative.Logprob}, d.req.model.Tokenizer.Decode([]int32{alternative.Token}, false))
	}
	return append(dst, ']')
}

// isSpecial tells whether a token is left out of texts.
func isSpecial(tok Tokenizer, id int32) bool {
	return tok.Decode([]int32{id}, true) == "" && tok.Decode([]int32{id}, false) != ""
}
