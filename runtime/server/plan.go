package server

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"llmc/engine"
	"llmc/internal/chat"
	"llmc/internal/tokenizer"
	"llmc/runtime"
	"llmc/runtime/encode"
	"llmc/runtime/metrics"
	"llmc/runtime/reply"
)

// NewModel offers a loaded plan under a name. It starts the step loop; closing the returned engine ends it.
func NewModel(name string, loaded *runtime.Loaded, registry *metrics.Registry, options runtime.Options) (Model, *runtime.Engine, error) {
	tok, err := loaded.Tokenizer()
	if err != nil {
		return Model{}, nil, err
	}
	layOut, parts, err := chatTemplate(loaded.Plan)
	if err != nil {
		return Model{}, nil, err
	}
	replies, err := replyFormat(loaded.Plan)
	if err != nil {
		return Model{}, nil, err
	}
	image := ""
	if insert := loaded.Info.Insert; insert != nil {
		image = string(tok.TokenBytes(insert.Token))
	}
	limits, pages := loaded.Model.Limits()
	var running atomic.Pointer[runtime.Engine] // scrapes may come before it runs
	observed, leave := registry.Model(metrics.ModelOptions{
		Name: name, MaxContext: limits.MaxContext, PageSize: limits.PageSize, Pages: pages,
		Load: func() metrics.Load { return load(running.Load()) },
	})
	options.Observer = observed
	e, err := runtime.New(loaded.Model, loaded.Info, tok, options)
	if err != nil {
		leave()
		return Model{}, nil, err
	}
	running.Store(e)
	return Model{
		Name: name, Info: loaded.Info, MaxContext: e.MaxContext(), MaxSource: e.MaxSource(), Created: time.Now(), Fingerprint: fingerprint(loaded.Plan.Digest()), Digest: loaded.Plan.Digest(),
		Backend: e, Tokenizer: planTokenizer{tok}, Grammars: runtime.NewGrammars(&loaded.Info, tok), Chat: layOut, Replies: replies, Metrics: observed, Close: closing(leave, e),
		Parts: image != "" && parts, ImageName: image,
	}, e, nil
}

// NewEncoder offers a loaded plan of an encoder under a name. It starts the loop that computes; closing the returned service ends it.
func NewEncoder(name string, loaded *runtime.Loaded, registry *metrics.Registry, options encode.ServiceOptions) (Model, *encode.Service, error) {
	tok, err := loaded.Tokenizer()
	if readsTexts := loaded.Info.Image == nil || !errors.Is(err, engine.ErrNotFound); err != nil && readsTexts {
		return Model{}, nil, err
	}
	f, err := encode.Open(loaded.Plan, loaded.Model, tok)
	if err != nil {
		return Model{}, nil, err
	}
	service := encode.NewService(f, options)
	observed, leave := registry.Model(metrics.ModelOptions{
		Name: name, MaxContext: f.MaxTokens(),
		Load: func() metrics.Load {
			running, waiting := service.Load()
			return metrics.Load{Running: running, Waiting: waiting, Joules: -1}
		},
	})
	m := Model{
		Name: name, Info: loaded.Info, MaxContext: f.MaxTokens(), Created: time.Now(), Fingerprint: fingerprint(loaded.Plan.Digest()),
		Encoder: service, Metrics: observed, Close: closing(leave, service),
	}
	if tok != nil {
		m.Tokenizer = planTokenizer{tok}
	}
	return m, service, nil
}

// closing ends what runs requests, and the reading of its load. It may be called more than once.
func closing(leave func(), runs io.Closer) func() error {
	return sync.OnceValue(func() error {
		leave()
		return runs.Close()
	})
}

// fingerprint is the part of a digest that tells plans apart in practice, in the form that OpenAI uses.
func fingerprint(digest string) string {
	const prefix, digits = len("sha256:"), 12
	return "fp_" + digest[prefix:prefix+digits]
}

func load(e *runtime.Engine) metrics.Load {
	if e == nil {
		return metrics.Load{}
	}
	s := e.Stats()
	return metrics.Load{
		Running: s.Running, Waiting: s.Waiting, KVUsage: s.KVUsage(), Held: s.PagesHeld, Cached: s.PagesCached,
		PrefixQueries: s.PrefixQueries, PrefixHits: s.PrefixHits, Preemptions: s.Preemptions,
		Drafts: s.Drafts, DraftTokens: s.DraftTokens, AcceptedTokens: s.AcceptedTokens, AcceptedAt: s.AcceptedAt[:], Joules: s.Joules,
	}
}

// planTokenizer is the plan's tokenizer as the server wants it.
type planTokenizer struct{ *tokenizer.Tokenizer }

// Decode leaves out ids that the tokenizer does not know; the server has checked that they are in the vocabulary.
func (t planTokenizer) Decode(ids []int32, skipSpecial bool) string {
	text, err := t.Tokenizer.Decode(ids, skipSpecial)
	if err == nil {
		return text
	}
	known := make([]int32, 0, len(ids))
	for _, id := range ids {
		if _, ok := t.Tokenizer.Token(id); ok {
			known = append(known, id)
		}
	}
	text, _ = t.Tokenizer.Decode(known, skipSpecial)
	return text
}

// Token returns the bytes that a token stands for.
func (t planTokenizer) Token(id int32) []byte { return t.TokenBytes(id) }

// PlanChat returns the renderer of a plan's chat templates; chat.ErrNoTemplate when it has none.
func PlanChat(plan *engine.Plan) (*chat.Renderer, error) {
	templates := chat.Templates{}
	for _, name := range plan.Names(engine.KindTemplate) {
		source, err := plan.Section(engine.KindTemplate, name)
		if err != nil {
			return nil, err
		}
		templates[name] = string(source)
	}
	var files chat.Files // a plan without them has no special tokens for its template
	for _, f := range []struct {
		name string
		dst  *[]byte
	}{{"tokenizer_config.json", &files.Config}, {"special_tokens_map.json", &files.SpecialTokensMap}} {
		data, err := plan.Section(engine.KindTokenizerFile, f.name)
		if err == nil {
			*f.dst = data
		} else if !errors.Is(err, engine.ErrNotFound) {
			return nil, err
		}
	}
	return chat.NewRenderer(templates, files)
}

// replyFormat is what a plan's chat templates teach of reasoning and calls: that for tools where there is one.
func replyFormat(plan *engine.Plan) (f reply.Format, err error) {
	for _, name := range []string{chat.Default, chat.ToolUse} {
		source, err := plan.Section(engine.KindTemplate, name)
		if errors.Is(err, engine.ErrNotFound) {
			continue
		}
		if err != nil {
			return f, err
		}
		f = reply.Detect(string(source))
	}
	return f, nil
}

// chatTemplate returns nil for plans that have no chat template. parts tells that it takes contents that are lists of parts.
func chatTemplate(plan *engine.Plan) (layOut ChatTemplate, parts bool, err error) {
	if len(plan.Names(engine.KindTemplate)) == 0 {
		return nil, false, nil
	}
	r, err := PlanChat(plan)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", plan.Path(), err)
	}
	return func(p ChatPrompt) (string, error) {
		return r.Render(chat.Prompt{
			Messages: p.Messages, Tools: p.Tools, Documents: p.Documents, Kwargs: p.Kwargs, AddGenerationPrompt: p.AddGenerationPrompt, Now: time.Now(),
		})
	}, plan.Info().Insert != nil && r.ReadsParts(), nil
}
