package server

import (
	"strings"

	"llmc/runtime/server/strictjson"
)

// prompt is one text to be continued.
type prompt struct {
	text   string // as given, or as laid out by the chat template
	ids    []int32
	isText bool // text was given; otherwise ids
}

// readPrompts accepts a string, an array of strings, an array of token ids, or an array of such arrays.
func readPrompts(r *request, v strictjson.Value) *apiError {
	if text, ok := v.Text(); ok {
		r.prompts = []prompt{{text: text, isText: true}}
		return nil
	}
	elements, ok := v.Array()
	if !ok {
		return wrongType(v, "a string, an array of strings, of token ids, or of arrays of token ids")
	}
	if len(elements) == 0 {
		return invalid("", "invalid_value", "must not be empty")
	}
	if elements[0].Kind() == "number" {
		ids, err := readTokenIDs(elements, r.model.Info.Vocab)
		r.prompts = []prompt{{ids: ids}}
		return err
	}
	if len(elements) > maxPrompts {
		return invalid("", "array_above_max_length", "must be at most %d prompts", maxPrompts)
	}
	for _, e := range elements {
		p, err := readPrompt(r, e, elements[0].Kind())
		if err != nil {
			return err
		}
		r.prompts = append(r.prompts, p)
	}
	return nil
}

// readPrompt reads one of several prompts, all of which must be of the same kind.
func readPrompt(r *request, v strictjson.Value, kind string) (prompt, *apiError) {
	if v.Kind() != kind {
		return prompt{}, wrongType(v, "of one kind throughout, here "+kind)
	}
	if text, ok := v.Text(); ok {
		return prompt{text: text, isText: true}, nil
	}
	elements, ok := v.Array()
	if !ok {
		return prompt{}, wrongType(v, "a string or an array of token ids")
	}
	if len(elements) == 0 {
		return prompt{}, invalid("", "invalid_value", "must not have empty arrays")
	}
	ids, err := readTokenIDs(elements, r.model.Info.Vocab)
	return prompt{ids: ids}, err
}

// encode turns the texts or the conversation of a request into token ids.
func (r *request) encode() error {
	special := !r.messages // a chat template writes the special tokens itself
	if r.addSpecial != nil {
		special = *r.addSpecial
	}
	if r.messages {
		text, err := r.layOut()
		if err != nil {
			return err
		}
		r.prompts = []prompt{{text: text, isText: true}}
	}
	for i := range r.prompts {
		p := &r.prompts[i]
		if !p.isText {
			continue
		}
		ids, err := r.model.Tokenizer.Encode(p.text, special)
		if err != nil {
			return invalid(r.source(), "invalid_value", "%s: can not be tokenized: %v", r.source(), err)
		}
		if most := r.tgi.truncate; most > 0 && len(ids) > most {
			ids = ids[len(ids)-most:]
		}
		p.ids = ids
	}
	return r.show()
}

// source names the field that the prompts come from.
func (r *request) source() string {
	switch {
	case r.messages:
		return "messages"
	case r.on == onTriton:
		return textInput
	case r.inputs:
		return "inputs"
	}
	return "prompt"
}

// layOut renders the conversation with the model's template.
func (r *request) layOut() (string, error) {
	text, err := r.model.Chat(r.chat)
	if err != nil {
		return "", invalid("messages", "invalid_value", "messages: the chat template refuses them: %v", err)
	}
	if !r.continueFinal {
		return text, nil
	}
	cut, ok := cutAfterFinal(text, r.finalText)
	if !ok {
		return "", invalid("continue_final_message", "invalid_value",
			"continue_final_message: the chat template does not show the last message as it is")
	}
	return cut, nil
}

// cutAfterFinal returns the rendered conversation up to the end of the last message's content, so that the model goes on with it,
// as transformers does: where the template trims content, white space at its end is lost.
func cutAfterFinal(rendered, final string) (string, bool) {
	core := strings.TrimSpace(final)
	at := strings.LastIndex(rendered, core)
	if core == "" || at < 0 {
		return "", false
	}
	if kept := strings.TrimLeft(final, " \t\r\n"); strings.HasPrefix(rendered[at:], kept) {
		return rendered[:at+len(kept)], true
	}
	return rendered[:at+len(core)], true
}

// fit checks that a prompt leaves room for its output and returns max_tokens for the model; 0 is as many as it can.
func (r *request) fit(p *prompt) (maxTokens int, err error) {
	room := r.model.MaxContext - len(p.ids)
	wanted := max(0, r.maxTokens)
	if len(p.ids) == 0 {
		return 0, invalid(r.source(), "invalid_value", "%s: has no tokens", r.source())
	}
	if r.model.Info.Source != nil {
		if room, err = r.fitEncoded(p); err != nil {
			return 0, err
		}
	}
	if room < wanted || room == 0 && r.maxTokens != 0 {
		return 0, invalid(r.source(), "context_length_exceeded",
			"%s: maximum context length is %d tokens, but %d were requested (%d in the %s, %d in the completion); shorten one of them",
			r.source(), r.model.MaxContext, len(p.ids)+max(1, wanted), len(p.ids), r.source(), max(1, wanted))
	}
	if r.maxTokens != unset {
		return max(1, r.maxTokens), nil // 0 is one step whose token is not shown
	}
	if r.on&(onCompletions|onTriton) != 0 {
		return min(defaultMaxTokens, room), nil
	}
	if r.on&inTGIsWords != 0 {
		return min(defaultNewTokens, room), nil
	}
	if byModel := r.model.Info.Generation.MaxNewTokens; byModel != nil && *byModel > 0 {
		return min(int(*byModel), room), nil
	}
	return 0, nil
}

// fitEncoded checks a prompt that is encoded, and returns how long its output may be.
func (r *request) fitEncoded(p *prompt) (room int, err error) {
	room = r.model.MaxContext - len(r.model.Info.Source.Start)
	switch {
	case len(p.ids) > r.model.MaxSource:
		return 0, invalid(r.source(), "context_length_exceeded", "%s: %d tokens, at most %d are encoded; shorten it", r.source(), len(p.ids), r.model.MaxSource)
	case r.maxTokens > room:
		return 0, invalid("max_tokens", "context_length_exceeded", "max_tokens: an output has %d tokens at most, %d were requested", room, r.maxTokens)
	case r.echo:
		return 0, invalid("echo", "invalid_value", "echo: the model encodes its prompts and does not go on with them")
	}
	return room, nil
}

// echoText is the text of a prompt to be repeated.
func (r *request) echoText(p *prompt) string {
	if p.isText {
		return p.text
	}
	return r.model.Tokenizer.Decode(p.ids, r.base.SkipSpecial)
}
