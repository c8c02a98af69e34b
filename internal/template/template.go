package template

import (
	"sync"
	"time"
)

// Template is a compiled chat template. It does not change, so any number of goroutines may render it at once.
type Template struct {
	env     *environment
	program *program
}

// Context is what a template is rendered with: the arguments of transformers' apply_chat_template.
type Context struct {
	Messages, Tools, Documents Value // lists of objects; nil is None
	AddGenerationPrompt        bool

	// Kwargs is an object whose members become variables; they win over everything else.
	Kwargs Value

	BOSToken, EOSToken string            // empty: the variable is undefined, as for tokenizers without such a token
	SpecialTokens      map[string]string // further ones by their variable's name: pad_token, unk_token, ...

	Now time.Time // what strftime_now shows; the zero time stands for the present
}

var newEnvironment = sync.OnceValue(func() *environment {
	env := &environment{filters: allFilters(), tests: allTests(), globals: globalFunctions()}
	env.methods = allMethods()
	return env
})

// Parse compiles a template. The error is a *SyntaxError.
func Parse(source string) (*Template, error) {
	body, err := parseTemplate(source)
	if err != nil {
		return nil, err
	}
	env := newEnvironment()
	p, err := bind(env, body)
	if err != nil {
		return nil, err
	}
	return &Template{env: env, program: p}, nil
}

// Render fills in the template. It returns a *RaisedError when the template refuses the conversation, a *RenderError where
// Python would raise, and a *LimitError when the rendering asks for too much.
func (t *Template) Render(c Context, limits ...Limits) (string, error) {
	var l Limits
	if len(limits) > 0 {
		l = limits[0]
	}
	st := &state{meter: newMeter(l), env: t.env, now: c.Now, blocks: t.program.blocks}
	if st.now.IsZero() {
		st.now = time.Now()
	}
	ctx := &context{vars: c.variables(), globals: t.env.globals}
	if len(st.blocks) > 0 {
		ctx.exported = map[string]Value{}
	}
	st.act = &activation{slots: make([]Value, t.program.slots), ctx: ctx}
	if t.program.self >= 0 {
		st.act.slots[t.program.self] = &templateRef{ctx}
	}
	st.enterScope(&t.program.scope)
	if _, err := st.run(t.program.body); err != nil {
		return "", err
	}
	return string(st.out), nil
}

// variables are the names that the template starts with.
func (c Context) variables() map[string]Value {
	vars := make(map[string]Value, 8+len(c.SpecialTokens))
	for name, token := range c.SpecialTokens {
		vars[name] = String(token)
	}
	if c.BOSToken != "" {
		vars["bos_token"] = String(c.BOSToken)
	}
	if c.EOSToken != "" {
		vars["eos_token"] = String(c.EOSToken)
	}
	vars["messages"] = orNone(c.Messages)
	vars["tools"] = orNone(c.Tools)
	vars["documents"] = orNone(c.Documents)
	vars["add_generation_prompt"] = boolValue(c.AddGenerationPrompt)
	if kwargs, ok := c.Kwargs.(*dictValue); ok {
		for _, e := range kwargs.entries {
			if name, ok := asText(e.key); ok {
				vars[name] = e.value
			}
		}
	}
	return vars
}
