package server

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/encode"
	"llmc/runtime/grammar"
	"llmc/runtime/metrics"
	"llmc/runtime/reply"
)

// Backend runs the requests of one model.
type Backend interface {
	// Submit queues a request; it does not wait. A full queue is runtime.ErrQueueFull. The generation ends with ctx.
	Submit(ctx context.Context, r runtime.Request) (runtime.Generation, error)
	// Health returns why the model can not serve. A model that is idle or makes progress is healthy.
	Health() error
}

// Encoder makes vectors or scores of sequences.
type Encoder interface {
	// Gives is what it makes: "embedding", "score", "logits" or "hidden"; Width how many numbers that is.
	Gives() string
	Width() int
	// Text makes the sequence of a text or a pair of texts, behind the prompt of that name; "" is the model's default.
	Text(prompt string, texts ...string) (encode.Input, error)
	// Encode waits for the rows of sequences.
	Encode(ctx context.Context, inputs []encode.Input) ([][]float32, error)
	Health() error
}

// health returns why the model can not serve.
func (m *Model) health() error {
	if m.Encoder != nil {
		return m.Encoder.Health()
	}
	return m.Backend.Health()
}

// Tokenizer cuts text into tokens and puts tokens together.
type Tokenizer interface {
	// Encode returns the ids of a text, with the tokens that the model wants around it when special is set.
	Encode(text string, special bool) ([]int32, error)
	Decode(ids []int32, skipSpecial bool) string
	// Token returns the bytes that one token stands for, possibly part of a character; a special token's own name.
	Token(id int32) []byte
}

// ChatPrompt is a conversation to be laid out. Its parts are JSON texts of the request, checked, keys in the client's order.
type ChatPrompt struct {
	Messages            []byte // array of objects; content is a string, arguments of tool calls are objects
	Tools               []byte // array; nil: none
	Documents           []byte // array; nil: none
	Kwargs              []byte // object of further variables; nil: none
	AddGenerationPrompt bool
}

// ChatTemplate lays a conversation out as the model was trained to read it.
type ChatTemplate func(ChatPrompt) (string, error)

// Model is one of the models that a server offers.
type Model struct {
	Name       string // as requests name it
	Info       engine.ModelInfo
	MaxContext int       // positions that a sequence may have here; 0: Info.MaxContext
	MaxSource  int       // tokens of a prompt that is encoded; 0: the model goes on with its prompts
	Created    time.Time // when the plan was made or loaded
	// Fingerprint names the plan: answers with equal fingerprint and seed are equal.
	Fingerprint string
	Backend     Backend // of an encoder: nil
	Encoder     Encoder // nil: the model generates
	Tokenizer   Tokenizer
	Grammars    *grammar.Compiler // nil: output can not be constrained
	Chat        ChatTemplate      // nil: the model has no chat template
	Replies     reply.Format      // how the model writes reasoning and calls of tools, as its chat template teaches
	Metrics     *metrics.Model    // nil: not observed
	Adapters    *Adapters         // nil: the model takes none

	// Of an adapter that is offered beside a model: that one's name, where the adapter came from, and what requests are to have.
	Parent, Root string
	Adapter      *runtime.Adapter

	// Of models that read images among tokens: whether the chat template takes lists of parts; else ImageName stands for an image in a text. MaxImages is how
	// many a request may have; 0: 8.
	Parts     bool
	ImageName string
	MaxImages int
}

// modelTable looks models up by name, and the adapters beside them.
type modelTable struct {
	list []*Model // that there are from the beginning

	mu     sync.RWMutex // guards what follows
	added  []*Model     // adapters, in order of their loading
	byName map[string]*Model
}

func newModelTable(models []Model) (*modelTable, error) {
	t := &modelTable{byName: map[string]*Model{}}
	for i := range models {
		m := models[i]
		if m.Name == "" || (m.Backend == nil) == (m.Encoder == nil) || m.Tokenizer == nil {
			return t, fmt.Errorf("model %d: name, tokenizer, or one of backend and encoder is missing", i)
		}
		if t.byName[m.Name] != nil {
			return t, fmt.Errorf("model %q: another model has this name", m.Name)
		}
		if m.MaxContext <= 0 {
			m.MaxContext = m.Info.MaxContext
		}
		if m.Metrics == nil { // observations go where nobody reads them
			m.Metrics = metrics.New().Model(metrics.ModelOptions{Name: m.Name, MaxContext: m.MaxContext})
		}
		if m.Adapters != nil {
			m.Metrics.Adapters(func() metrics.Adapters { return t.adapterLoad(&m) })
		}
		t.byName[m.Name] = &m
		t.list = append(t.list, &m)
	}
	return t, nil
}

// anyName are what clients of Text Generation Inference, which has one model and looks at no names, call it: its documentation, and huggingface_hub.
var anyName = map[string]bool{"tgi": true, "dummy": true}

// find returns the model of a request; "" means the only one.
func (t *modelTable) find(name string) (*Model, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if name == "" && len(t.list) == 1 {
		return t.list[0], nil
	}
	if name == "" {
		return nil, missing("model")
	}
	if m := t.byName[name]; m != nil {
		return m, nil
	}
	if anyName[name] && len(t.list) == 1 {
		return t.list[0], nil
	}
	return nil, &apiError{
		status: 404, kind: kindRequest, code: "model_not_found", param: "model",
		message: fmt.Sprintf("the model %.200q does not exist here; GET /v1/models lists those that do", name),
	}
}

// all returns the models, and the adapters behind them.
func (t *modelTable) all() []*Model {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return append(slices.Clone(t.list), t.added...)
}

func (t *modelTable) has(name string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byName[name] != nil
}

// add takes in an adapter, whose name is free.
func (t *modelTable) add(m *Model) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.added, t.byName[m.Name] = append(t.added, m), m
}

// remove takes an adapter out; nil: none is called that.
func (t *modelTable) remove(name string) *Model {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.byName[name]
	if m == nil || m.Adapter == nil {
		return nil
	}
	delete(t.byName, name)
	t.added = slices.DeleteFunc(t.added, func(other *Model) bool { return other == m })
	return m
}

// host returns the model that is to get an adapter: the one of that name, or the only one that takes any.
func (t *modelTable) host(name string) (*Model, error) {
	var hosts []*Model
	for _, m := range t.list {
		if m.Adapters != nil && (name == "" || m.Name == name) {
			hosts = append(hosts, m)
		}
	}
	switch {
	case len(hosts) == 1:
		return hosts[0], nil
	case len(hosts) > 1:
		return nil, invalid("base_model_name", "missing_required_parameter", "several models take adapters: name one as base_model_name")
	case name != "":
		return nil, invalid("base_model_name", "invalid_value", "the model %.200q takes no adapters here", name)
	}
	return nil, invalid("", "adapters_off", "this server takes no adapters: start it with --max-loras N, and a plan that generates on a CPU")
}
