package server

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"llmc/runtime"
	"llmc/runtime/ensemble"
)

// remoteRetry is when a client may come again for whom another server had no time.
const remoteRetry = time.Second

// maxRunSteps bounds the steps of a request, those of ensembles in ensembles together.
const maxRunSteps = 1024

// computation is one request to a model with a Node: its steps share its visit, its quota and its deadline.
type computation struct {
	server         *Server
	visit          *visit
	had            atomic.Int64 // of the server's room
	prompt, output atomic.Int64 // tokens
	count          atomic.Int64 // steps

	mu    sync.Mutex // guards what follows, and visit.leave
	steps []stepReport
}

// stepReport is what a step amounted to.
type stepReport struct {
	step         string // where it is: ensemble and number
	model        string
	began, ended time.Time
	code         string // of its error; "": it went well
}

// take counts memory of tensors as the server counts that of requests.
func (c *computation) take(n int64) error {
	if c.server.room.take(&c.had, int(n)) != nil {
		return &apiError{status: 503, kind: kindBusy, code: "busy", retry: time.Second, message: "requests have all the memory that they may; try again later"}
	}
	return nil
}

// hold keeps the models that a node needs from being closed until the request ends.
func (c *computation) hold(m *Model) ([]*Model, error) {
	for {
		models, err := c.server.models.bind(m)
		if err != nil {
			return nil, err
		}
		entered := 0
		for entered < len(models) && models[entered].requests.enter() {
			entered++
		}
		if entered < len(models) { // one has gone meanwhile, after it left the table
			for _, one := range models[:entered] {
				one.requests.leave()
			}
			continue
		}
		c.mu.Lock()
		for _, one := range models {
			c.visit.leave = append(c.visit.leave, one.requests.leave)
		}
		c.mu.Unlock()
		return models, nil
	}
}

// compute computes a model of any kind.
func (c *computation) compute(ctx context.Context, m *Model, inputs ensemble.Tensors) (outputs ensemble.Tensors, err error) {
	switch node := m.Node.(type) {
	case *ensemble.Graph:
		outputs, _, err = c.graph(ctx, m, node, inputs, nil, -1)
	case ensemble.Function:
		outputs, err = c.function(ctx, m, node, inputs)
	case nil:
		if m.Encoder != nil {
			return c.encode(ctx, m, inputs)
		}
		return c.generate(ctx, m, inputs)
	}
	return outputs, err
}

// observed counts a computation of a node as one of its model's.
func (c *computation) observed(m *Model, compute func() error) error {
	began := time.Now()
	err := compute()
	took := time.Since(began)
	m.stats.add(err == nil, took, c.server.now())
	reason := ""
	if err != nil {
		switch e := c.server.asAPIError(err); {
		case e.status == statusClientGone || e.status == 504:
			reason = "CANCELED"
		case e.code == "queue_full" || e.code == "draining" || e.code == "model_unavailable":
			reason = "REJECTED"
		default:
			reason = "BACKEND"
		}
	}
	m.node.counts.Observe(took, reason)
	return err
}

// graph computes an ensemble, but a step apart, whose inputs are returned (held). models are those of its steps, nil where they are not held yet.
func (c *computation) graph(ctx context.Context, m *Model, g *ensemble.Graph, inputs ensemble.Tensors, models []*Model, apart int) (outputs, held ensemble.Tensors, err error) {
	err = c.observed(m, func() error {
		if err := m.checkBatch(inputs); err != nil {
			return err
		}
		if models == nil {
			if models, err = c.hold(m); err != nil {
				return err
			}
		}
		outputs, held, err = g.Run(ctx, inputs, apart, func(ctx context.Context, i int, in ensemble.Tensors) (ensemble.Tensors, error) {
			return c.step(ctx, g, i, models[i], in)
		}, c.take)
		return err
	})
	return outputs, held, err
}

// step computes a step of an ensemble. A panic is our fault and ends this request alone.
func (c *computation) step(ctx context.Context, g *ensemble.Graph, i int, m *Model, inputs ensemble.Tensors) (outputs ensemble.Tensors, err error) {
	report := stepReport{step: fmt.Sprintf("%s/%d", g.Name, i), model: m.Name, began: time.Now()}
	defer func() {
		if p := recover(); p != nil {
			c.server.log.Error("panic in a step", "step", report.step, "panic", p, "stack", string(debug.Stack()))
			err = errors.New("panic")
		}
		report.ended = time.Now()
		if err != nil {
			refusal := c.server.asAPIError(err)
			report.code, err = refusal.code, refusal
		}
		c.report(report)
	}()
	if c.count.Add(1) > maxRunSteps {
		return nil, invalid("", "too_many_steps", "the request has more than %d steps", maxRunSteps)
	}
	return c.compute(ctx, m, inputs)
}

func (c *computation) report(r stepReport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steps = append(c.steps, r)
}

// function computes a built-in step or a model of another server.
func (c *computation) function(ctx context.Context, m *Model, f ensemble.Function, inputs ensemble.Tensors) (outputs ensemble.Tensors, err error) {
	err = c.observed(m, func() error {
		if err := m.checkBatch(inputs); err != nil {
			return err
		}
		in, err := f.Signature().Conform(inputs)
		if err != nil {
			return invalid("", "invalid_value", "%v", err)
		}
		models, err := c.hold(m)
		if err != nil {
			return err
		}
		var text ensemble.TextModel
		if len(models) > 0 {
			text = textModel{models[0]}
		}
		outputs, err = f.Compute(ctx, in, text)
		var remote *ensemble.RemoteError
		if _, builtin := f.(*ensemble.Builtin); builtin && err != nil && !errors.As(err, &remote) {
			return invalid("", "invalid_value", "%v", err)
		}
		return err
	})
	return outputs, err
}

// generate has a model with a plan go on with texts.
func (c *computation) generate(ctx context.Context, m *Model, inputs ensemble.Tensors) (ensemble.Tensors, error) {
	in, err := plainRequest(m, inputs)
	if err != nil {
		return nil, err
	}
	b, err := c.begin(ctx, in, false)
	if err != nil {
		return nil, err
	}
	defer c.used(b)
	defer b.close()
	if err := b.gather(); err != nil {
		return nil, err
	}
	return tensorsOf(b.outputs()...), nil
}

// begin starts generations. Tokens are counted by used.
func (c *computation) begin(ctx context.Context, in *inferRequest, streams bool) (*batch, error) {
	r, err := c.server.inferGeneration(in, streams)
	if err != nil {
		return nil, err
	}
	r.arrived = time.Now() // of the step: what came before it is none of the model's time
	return c.server.launch(ctx, c.visit, r, nil)
}

func (c *computation) used(b *batch) {
	u := b.usage()
	c.prompt.Add(int64(u.PromptTokens))
	c.output.Add(int64(u.OutputTokens))
}

// encode has an encoder compute texts or tokens.
func (c *computation) encode(ctx context.Context, m *Model, inputs ensemble.Tensors) (ensemble.Tensors, error) {
	in, err := plainRequest(m, inputs)
	if err != nil {
		return nil, err
	}
	r, err := in.encoding(m)
	if err != nil {
		return nil, err
	}
	var made outputTensor
	err = c.server.counted(r, func() error {
		made, err = r.encodedTensor(ctx)
		return err
	})
	c.prompt.Add(int64(r.encodedTokens))
	if err != nil {
		return nil, err
	}
	return tensorsOf(made), nil
}

// plainRequest is the request of a step to a model with a plan.
func plainRequest(m *Model, inputs ensemble.Tensors) (*inferRequest, error) {
	in := &inferRequest{find: func() (*Model, error) { return m, nil }}
	for name, t := range inputs {
		in.inputs = append(in.inputs, tensor{name: name, datatype: t.Type, shape: t.Shape, whole: t})
	}
	if m.encodesImages() { // which takes its own first
		return in, nil
	}
	return in, in.plain()
}

// tensorsOf are outputs of a model with a plan as steps hand them on.
func tensorsOf(list ...outputTensor) ensemble.Tensors {
	made := ensemble.Tensors{}
	for _, o := range list {
		shape := make([]int64, len(o.shape))
		for i, n := range o.shape {
			shape[i] = int64(n)
		}
		if o.datatype == "BYTES" {
			made[o.name] = ensemble.Of(shape, o.texts...)
		} else {
			made[o.name] = ensemble.Floats(shape, slices.Concat(o.rows...))
		}
	}
	return made
}

// textModel is a model of this process as steps use it for texts.
type textModel struct{ model *Model }

// Tokens implements ensemble.TextModel.
func (t textModel) Tokens(special bool, texts ...string) ([]int32, error) {
	if t.model.Encoder != nil && special {
		in, err := t.model.Encoder.Text("", texts...)
		return in.IDs, err
	}
	if len(texts) != 1 {
		return nil, errors.New("pairs are cut as an encoder with special tokens does it")
	}
	return t.model.Tokenizer.Encode(texts[0], special)
}

// Text implements ensemble.TextModel.
func (t textModel) Text(ids []int32, skipSpecial bool) (string, error) {
	for _, id := range ids {
		if int(id) >= t.model.Info.Vocab {
			return "", fmt.Errorf("%d is not a token id, they go from 0 to %d", id, t.model.Info.Vocab-1)
		}
	}
	return t.model.Tokenizer.Decode(ids, skipSpecial), nil
}

// Chat implements ensemble.TextModel.
func (t textModel) Chat(messages []byte) (string, error) {
	if t.model.Chat == nil {
		return "", fmt.Errorf("the model %q has no chat template", t.model.Name)
	}
	return t.model.Chat(ChatPrompt{Messages: messages, AddGenerationPrompt: true})
}

// usage are the tokens of the steps so far.
func (c *computation) usage() runtime.Usage {
	return runtime.Usage{PromptTokens: int(c.prompt.Load()), OutputTokens: int(c.output.Load())}
}

// reports are those of the steps so far, in the order of their beginnings.
func (c *computation) reports() []stepReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := slices.Clone(c.steps)
	slices.SortStableFunc(list, func(a, b stepReport) int { return a.began.Compare(b.began) })
	return list
}
