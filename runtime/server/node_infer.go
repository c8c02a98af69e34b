package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"llmc/runtime/ensemble"
	"llmc/runtime/server/inference"
	"llmc/runtime/server/strictjson"
)

// nodeAnswer is what a model with a Node has computed. end has to be called when it has been given.
type nodeAnswer struct {
	model   *Model
	outputs ensemble.Tensors // that are complete
	live    *live            // nil: all are
	end     func()
}

// live is the generation that is the last step of an answer in parts.
type live struct {
	batch *batch
	names map[string]string // of the ensemble's outputs, by the model's
	step  stepReport        // as it began
}

// streaming says whether an answer may come in parts.
type streaming uint8

const (
	never  streaming = iota
	asked            // if the request or the configuration says so
	always           // where the last step generates
)

// beginNode lets a request in and computes it, up to the last step where that gives its answer in parts.
func (s *Server) beginNode(from caller, in *inferRequest, how streaming) (a *nodeAnswer, err error) {
	v, err := s.enter(from)
	if err != nil {
		return nil, err
	}
	c := &computation{server: s, visit: v}
	from.account.compute(c)
	began := false
	defer func() { // after a panic too
		if !began {
			v.end()
		}
	}()
	v.leave = append(v.leave, func() { s.room.leave(&c.had) })
	v.used = func() int {
		u := c.usage()
		return u.PromptTokens + u.OutputTokens
	}
	r, err := v.decoded(func() (*request, error) {
		m, err := in.find()
		if err != nil {
			return nil, err
		}
		if m.Node == nil {
			return nil, invalid("model", "model_changed", "the model %q is another now; ask again", m.Name)
		}
		return &request{on: onTriton, model: m, timeouts: in.timeouts}, nil
	})
	if err != nil {
		return nil, err
	}
	inputs, err := in.tensors(r.model)
	if err != nil {
		return nil, err
	}
	v.limits = v.limits.tighter(r.timeouts)
	ctx, cancel := context.WithCancelCause(s.base)
	bounded, done := v.limits.bound(ctx, v.arrived)
	v.leave = append(v.leave, done, func() { cancel(nil) }, from.watch(func(why error) { cancel(why) }))
	a = &nodeAnswer{model: r.model}
	if a.outputs, a.live, err = c.open(bounded, r.model, inputs, how); err != nil {
		return nil, err
	}
	if a.live != nil {
		r.stream = true
		from.account.run(a.live.batch)
		v.leave = append(v.leave, from.account.end, func() { c.over(a.live) }, a.live.batch.close)
	}
	began, a.end = true, v.end
	return a, nil
}

// tensors are the inputs of a request, with the types and shapes of a model's.
func (in *inferRequest) tensors(m *Model) (ensemble.Tensors, error) {
	given := ensemble.Tensors{}
	for _, t := range in.inputs {
		if t.whole == nil { // it was read for a model that had a plan
			return nil, invalid("model", "model_changed", "the model %q is another now; ask again", m.Name)
		}
		if given[t.name] != nil {
			return nil, invalid(clip(t.name, maxParam), "invalid_value", "%.64q: is there twice", t.name)
		}
		given[t.name] = t.whole
	}
	signature := m.Node.Signature()
	inputs, err := signature.Conform(given)
	if err != nil {
		return nil, invalid("inputs", "invalid_value", "inputs: the model %q: %v", m.Name, err)
	}
	var names []string
	for _, o := range signature.Outputs {
		names = append(names, o.Name)
	}
	return inputs, in.knows(names...)
}

// open computes a model, and begins its last step where that gives its answer in parts.
func (c *computation) open(ctx context.Context, m *Model, inputs ensemble.Tensors, how streaming) (ensemble.Tensors, *live, error) {
	g, wired := m.Node.(*ensemble.Graph)
	if !wired || how == never {
		outputs, err := c.compute(ctx, m, inputs)
		return outputs, nil, err
	}
	models, err := c.hold(m)
	if err != nil {
		return nil, nil, err
	}
	last := g.Last(func(i int) bool { return models[i].decoupled() })
	if last >= 0 && how == asked && !wantsParts(g, last, inputs) {
		last = -1
	}
	outputs, held, err := c.graph(ctx, m, g, inputs, models, last)
	if err != nil || last < 0 {
		return outputs, nil, err
	}
	began := time.Now()
	more, l, err := c.openStep(ctx, models[last], held)
	if err != nil {
		return nil, nil, &ensemble.StepError{Ensemble: g.Name, Step: last, Model: models[last].Name, Err: err}
	}
	out := g.Steps[last].Out
	for name, t := range more {
		if to, is := out[name]; is {
			outputs[to] = t
		}
	}
	if l != nil {
		renamed := map[string]string{}
		for of, name := range l.names {
			if to, is := out[name]; is {
				renamed[of] = to
			}
		}
		l.names = renamed
		if models[last].Node == nil {
			l.step = stepReport{step: fmt.Sprintf("%s/%d", g.Name, last), model: models[last].Name, began: began}
		}
	}
	return outputs, l, nil
}

// over counts and reports the step whose answer came in parts.
func (c *computation) over(l *live) {
	c.used(l.batch)
	l.step.ended = time.Now()
	if !l.batch.done() {
		l.step.code = "incomplete"
	}
	c.report(l.step)
}

// openStep begins the step that gives its answer in parts.
func (c *computation) openStep(ctx context.Context, m *Model, inputs ensemble.Tensors) (ensemble.Tensors, *live, error) {
	if m.Node != nil {
		return c.open(ctx, m, inputs, always)
	}
	inputs = maps.Clone(inputs)
	inputs["stream"] = &ensemble.Tensor{Type: "BOOL", Shape: []int64{1}, Raw: []byte{1}}
	in, err := plainRequest(m, inputs)
	if err != nil {
		return nil, nil, err
	}
	b, err := c.begin(ctx, in, true)
	if err != nil {
		return nil, nil, err
	}
	return nil, &live{batch: b, names: map[string]string{"text_output": "text_output", "finish_reason": "finish_reason"}}, nil
}

// decoupled tells whether a model may answer in parts.
func (m *Model) decoupled() bool {
	if m.Node == nil {
		return m.Encoder == nil
	}
	g, wired := m.Node.(*ensemble.Graph)
	if !wired || m.node.table == nil {
		return false
	}
	models, err := m.node.table.bind(m)
	return err == nil && g.Last(func(i int) bool { return models[i].decoupled() }) >= 0
}

// wantsParts tells whether a request asks for its answer in parts: by the input that is mapped to the last step's stream, or else by the configuration.
func wantsParts(g *ensemble.Graph, last int, inputs ensemble.Tensors) bool {
	if t := inputs[g.Steps[last].In["stream"]]; t != nil && t.Type == "BOOL" && len(t.Raw) > 0 {
		return t.Raw[0] != 0
	}
	return g.Decoupled
}

// list are the outputs of an answer in the order of the model's.
func (a *nodeAnswer) list() (list []outputTensor) {
	for _, spec := range a.model.Node.Signature().Outputs {
		t := a.outputs[spec.Name]
		if t == nil {
			continue
		}
		o := outputTensor{name: spec.Name, datatype: t.Type, whole: t}
		for _, n := range t.Shape {
			o.shape = append(o.shape, int(n))
		}
		list = append(list, o)
	}
	return list
}

// inferNode answers POST /v2/models/MODEL/infer of a model with a Node.
func (s *Server) inferNode(c *fasthttp.RequestCtx, words *inferWords) error {
	a, err := s.beginNode(overHTTP(c), words.in, never)
	if err != nil {
		return err
	}
	defer a.end()
	words.model = a.model
	c.SetContentType("application/json")
	c.SetBody(words.answer(nil, a.list()...))
	return nil
}

// inferNodeCall answers a call, in parts if that is asked for and may be.
func (s *Server) inferNodeCall(from caller, in *inferRequest, streams bool, give giving) error {
	how := never
	if streams {
		how = asked
	}
	a, err := s.beginNode(from, in, how)
	if err != nil {
		return err
	}
	defer a.end()
	if a.live == nil {
		return give(in.answerCall(a.model, a.list()...), true)
	}
	from.account.answered(200)
	err = in.streamNode(a, give)
	if err != nil {
		from.account.fail(s.asAPIError(err))
	}
	return err
}

// streamNode gives what is complete with the first part of the text.
func (in *inferRequest) streamNode(a *nodeAnswer, give giving) error {
	before := a.list()
	return a.live.batch.parts(func(text string, c *choice) error {
		var answer *inference.ModelInferResponse
		answer, before = in.answerCall(a.model, append(before, a.live.part(text, c)...)...), nil
		return give(answer, c.finish != "")
	})
}

// part are the outputs of a part of a text.
func (l *live) part(text string, c *choice) (list []outputTensor) {
	for _, o := range []outputTensor{{name: "text_output", texts: []string{text}}, {name: "finish_reason", texts: []string{string(c.finish)}}} {
		name, is := l.names[o.name]
		if !is || o.name == "finish_reason" && c.finish == "" {
			continue
		}
		o.name, o.datatype, o.shape = name, "BYTES", []int{1, 1}
		list = append(list, o)
	}
	return list
}

// generateNode answers the generate extension of Triton of a model with a Node: inputs are members of the body, outputs those of the answer.
func (s *Server) generateNode(c *fasthttp.RequestCtx, m *Model, stream bool) error {
	in, err := readGenerate(c.PostBody(), m)
	if err != nil {
		return err
	}
	in.find = func() (*Model, error) { return s.modelOfPath(c) }
	how := never
	if stream {
		how = always
		if !c.Request.Header.IsHTTP11() {
			return invalid("stream", "unsupported_value", "stream: needs HTTP/1.1")
		}
	}
	a, err := s.beginNode(overHTTP(c), in, how)
	if err != nil {
		return err
	}
	words := &nodeWords{in: in, answer: a, before: appendMembers(nil, a.list())}
	if a.live != nil {
		s.stream(c, a.live.batch, words, a.end)
		return nil
	}
	defer a.end()
	if stream {
		c.SetContentType("text/event-stream; charset=utf-8")
		c.Response.Header.Set("Cache-Control", "no-cache")
		c.SetBody(words.event(nil, nil))
		return nil
	}
	c.SetContentType("application/json")
	c.SetBody(words.object(nil, nil))
	return nil
}

// readGenerate reads the body of Triton's generate extension: inputs by their names, also in parameters.
func readGenerate(body []byte, m *Model) (*inferRequest, error) {
	value, err := strictjson.Check(body)
	if err != nil {
		return nil, invalid("", "invalid_json", "the body is not valid JSON: %v", err)
	}
	members, ok := value.Object()
	if !ok {
		return nil, invalid("", "invalid_type", "the body must be a JSON object, not %s", value.Kind())
	}
	in := &inferRequest{}
	for _, member := range members {
		var refusal *apiError
		inner, isObject := member.Value.Object()
		switch {
		case member.Value.IsNull():
		case member.Key == "id":
			in.id, _ = member.Value.Text()
			in.id = clip(in.id, maxNameBytes)
		case member.Key == "parameters" && isObject:
			if refusal = in.readTimeout(member.Value); refusal != nil {
				break
			}
			for _, p := range inner {
				if p.Key != "timeout" && refusal == nil {
					refusal = in.readMember(m, p)
				}
			}
		default:
			refusal = in.readMember(m, member)
		}
		if refusal != nil {
			return nil, refusal
		}
	}
	return in, nil
}

// readMember reads an input: a value, or an array of them, nested as the input's shape is.
func (in *inferRequest) readMember(m *Model, member strictjson.Member) *apiError {
	signature := m.Node.Signature()
	at := slices.IndexFunc(signature.Inputs, func(s ensemble.Spec) bool { return s.Name == member.Key })
	if at < 0 {
		return invalid(clip(member.Key, maxParam), "unknown_parameter", "%.64q: the model has no such input", member.Key)
	}
	t := tensor{name: member.Key, datatype: signature.Inputs[at].Type}
	elements := []strictjson.Value{member.Value}
	if list, isArray := member.Value.Array(); isArray {
		var refusal *apiError
		if elements, refusal = flatten(nil, member.Value, 0, int(readWhole.most)); refusal != nil {
			return refusal.of(clip(member.Key, maxParam))
		}
		for isArray {
			t.shape = append(t.shape, int64(len(list)))
			if len(list) == 0 {
				break
			}
			list, isArray = list[0].Array()
		}
	} else {
		t.shape = []int64{1}
	}
	if refusal := readWhole.make(&t, elements, nil, false); refusal != nil {
		return refusal.of(clip(member.Key, maxParam))
	}
	in.inputs = append(in.inputs, t)
	return nil
}
