package server

import (
	"context"
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
	// SubmitBeams searches for the most probable outputs of a request, as many as the search is wide.
	SubmitBeams(ctx context.Context, r runtime.Request, search runtime.BeamSearch) ([]runtime.Generation, error)
	// Health returns why the model can not serve. A model that is idle or makes progress is healthy.
	Health() error
}

// Encoder makes vectors or scores of sequences.
type Encoder interface {
	// Reads tells what it makes them of.
	Reads() (texts, images bool)
	// Gives is what it makes: "embedding", "score", "logits" or "hidden"; Width how many numbers that is.
	Gives() string
	Width() int
	// Text makes the sequence of a text or a pair of texts, behind the prompt of that name; "" is the model's default.
	Text(prompt string, texts ...string) (encode.Input, error)
	// Image makes the sequence of an image file; Pixels that of one which is prepared: [3, height, width].
	Image(file []byte) (encode.Input, error)
	Pixels(values []float32) (encode.Input, error)
	// Encode waits for the rows of sequences.
	Encode(ctx context.Context, inputs []encode.Input) ([][]float32, error)
	Health() error
}

// health returns why the model can not serve.
func (m *Model) health() error {
	if m.Node != nil { // it is as well as what it is made of
		return nil
	}
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
	Version    string // a number; "": 1. A name may have several versions, and means the highest.
	Info       engine.ModelInfo
	MaxContext int       // positions that a sequence may have here; 0: Info.MaxContext
	MaxSource  int       // tokens of a prompt that is encoded; 0: the model goes on with its prompts
	Created    time.Time // when the plan was made or loaded
	// Fingerprint names the plan: answers with equal fingerprint and seed are equal.
	Fingerprint string
	Digest      string    // of the plan
	Backend     Backend   // nil: the model does not generate
	Prefiller   Prefiller // nil: prompts are computed here
	Encoder     Encoder   // nil: the model does not encode
	Node        Node      // nil: the model has a plan; else it has neither of both, no tokenizer and no Info
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

	// Close gives back what the model holds. It is called once nothing offers the model any more and the last request that has it has ended; nil: nothing is held.
	Close func() error

	parent   *Model      // of an adapter
	node     *nodeState  // of a model with a Node
	requests *inflight   // those that have the model; adapters share that of their model
	stats    *statistics // likewise
}
