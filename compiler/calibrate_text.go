package compiler

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"llmc/compiler/calib"
	"llmc/compiler/hf"
	"llmc/internal/chat"
	"llmc/internal/tokenizer"
)

// tokenize cuts the text into what is run and what is measured on.
func (c *calibrated) tokenize(b *build) ([][]int32, error) {
	o := b.Calibration
	text := o.Text
	if text == "" {
		text = calib.DefaultText
	}
	c.text = fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	docs, _, err := readDocuments(b.checkpoint)
	if err != nil {
		return nil, err
	}
	_, tok, err := docs.tokenizerContent()
	if err != nil {
		return nil, err
	}
	if tok == nil {
		return nil, errors.New("the checkpoint has no tokenizer")
	}
	var ids []int32
	if o.Conversations {
		ids, err = docs.conversations(b.checkpoint, tok, text)
	} else {
		ids, err = tok.Encode(text, false)
	}
	if err != nil {
		return nil, err
	}
	if at := slices.IndexFunc(ids, func(id int32) bool { return int(id) >= b.model.Info.Vocab }); at >= 0 {
		return nil, fmt.Errorf("token %d of the text is beyond the model's vocabulary of %d", ids[at], b.model.Info.Vocab)
	}
	if b.model.Info.MaxContext < calib.Window {
		return nil, fmt.Errorf("the model reads %d tokens at most, windows have %d", b.model.Info.MaxContext, calib.Window)
	}
	c.windows = o.Windows
	run, measured, err := calib.Split(ids, cmp.Or(o.Windows, calib.RunWindows))
	c.ids = measured
	if err == nil && c.method.Tunes() {
		c.tuning = calib.Tuning(ids, cmp.Or(o.Windows, calib.RunWindows))
	}
	return run, err
}

// conversationTime is the time that templates see: always the same, so that a text gives one plan.
var conversationTime = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// conversations renders conversations, one in a line of JSON as "llmc render" takes them, and tokenizes them one after the other.
func (d documents) conversations(checkpoint *hf.Checkpoint, tok *tokenizer.Tokenizer, text string) ([]int32, error) {
	named, err := checkpoint.NamedTemplates()
	if err != nil {
		return nil, err
	}
	files := chat.Files{Config: d.data(hf.TokenizerConfig), SpecialTokensMap: d.data(hf.SpecialTokens), Jinja: d.data(hf.ChatTemplate), JSON: d.data(hf.ChatTemplateJSON), Named: named}
	templates, err := chat.Find(files)
	if err != nil {
		return nil, err
	}
	renderer, err := chat.NewRenderer(templates, files)
	if err != nil {
		return nil, err
	}
	var ids []int32
	number := 0
	for line := range strings.Lines(text) {
		number++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		shown, err := renderer.RenderLineAt([]byte(line), conversationTime)
		if err == nil {
			ids, err = tok.AppendEncode(ids, shown, false)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return ids, nil
}
