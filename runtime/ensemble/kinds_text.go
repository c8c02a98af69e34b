package ensemble

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"llmc/internal/template"
)

var modelParameter = Parameter{Name: "model", Does: "the model of the repository whose tokenizer or chat template it is", Required: true}

// maxTokens bounds the ids that a tokenizing step makes, padding included.
const maxTokens = 1 << 22

var tokenizeKind = Kind{
	Name: "tokenize", Does: "cuts texts, or pairs of texts, into the tokens of a model; shorter rows end with `pad_id` and 0 in the mask",
	Parameters: []Parameter{
		modelParameter, {Name: "add_special_tokens", Does: "`true` or `false`", Default: "true"},
		{Name: "max_length", Does: "tokens at most; more are cut off"}, {Name: "pad_id", Does: "id behind the end of shorter rows", Default: "0"},
	},
	Fixed: Signature{
		[]Spec{{Name: "text", Type: "BYTES", Dims: []int64{-1, 1}}, {Name: "text_pair", Type: "BYTES", Dims: []int64{-1, 1}, Optional: true}},
		[]Spec{{Name: "input_ids", Type: "INT64", Dims: []int64{-1, -1}}, {Name: "attention_mask", Type: "INT64", Dims: []int64{-1, -1}}},
	},
	prepare: func(b *Builtin) error {
		return cmp.Or(b.oneOf("add_special_tokens", "true", "false"), b.whole("max_length", maxTokens, 1, maxTokens), b.whole("pad_id", 0, 0, 1<<31-1))
	},
	compute: tokenize,
}

func tokenize(b *Builtin, in Tensors, text TextModel) (Tensors, error) {
	texts, pairs := in["text"].Texts, in["text_pair"]
	if pairs != nil && len(pairs.Texts) != len(texts) {
		return nil, fmt.Errorf("input \"text_pair\": %d texts, there are %d to go with", len(pairs.Texts), len(texts))
	}
	rows, longest := make([][]int32, len(texts)), 0
	for i := range texts {
		one := []string{texts[i]}
		if pairs != nil {
			one = append(one, pairs.Texts[i])
		}
		ids, err := text.Tokens(b.values["add_special_tokens"] == "true", one...)
		if err != nil {
			return nil, fmt.Errorf("input \"text\": text %d: %w", i, err)
		}
		rows[i] = ids[:min(len(ids), int(b.numbers["max_length"]))]
		if longest = max(longest, len(rows[i])); longest*len(texts) > maxTokens {
			return nil, fmt.Errorf("input \"text\": %d texts of up to %d tokens: more than %d together", len(texts), longest, maxTokens)
		}
	}
	ids, mask := make([]int64, 0, longest*len(rows)), make([]int64, 0, longest*len(rows))
	for _, row := range rows {
		for at := range longest {
			if at < len(row) {
				ids, mask = append(ids, int64(row[at])), append(mask, 1)
			} else {
				ids, mask = append(ids, int64(b.numbers["pad_id"])), append(mask, 0)
			}
		}
	}
	shape := []int64{int64(len(rows)), int64(longest)}
	return Tensors{"input_ids": Ints(shape, ids), "attention_mask": Ints(shape, mask)}, nil
}

var detokenizeKind = Kind{
	Name: "detokenize", Does: "puts the tokens of each row together as text; where there is a mask, those that it has 1 for",
	Parameters: []Parameter{modelParameter, {Name: "skip_special_tokens", Does: "`true` or `false`", Default: "true"}},
	Fixed: Signature{
		[]Spec{{Name: "input_ids", Type: "INT64", Dims: []int64{-1, -1}}, {Name: "attention_mask", Type: "INT64", Dims: []int64{-1, -1}, Optional: true}},
		[]Spec{{Name: "text", Type: "BYTES", Dims: []int64{-1, 1}}},
	},
	prepare: func(b *Builtin) error { return b.oneOf("skip_special_tokens", "true", "false") },
	compute: detokenize,
}

func detokenize(b *Builtin, in Tensors, text TextModel) (Tensors, error) {
	rows, err := Rows(in["input_ids"], in["attention_mask"])
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(rows))
	for i, row := range rows {
		if texts[i], err = text.Text(row, b.values["skip_special_tokens"] == "true"); err != nil {
			return nil, fmt.Errorf("input \"input_ids\": row %d: %w", i, err)
		}
	}
	return Tensors{"text": Of([]int64{int64(len(texts)), 1}, texts...)}, nil
}

// Rows are the ids of each row, those that the mask, if there is one, has 1 for.
func Rows(ids, mask *Tensor) ([][]int32, error) {
	n, width := ids.rows()
	values := ids.Int64s()
	var kept []int64
	if mask != nil {
		if kept = mask.Int64s(); len(kept) != len(values) {
			return nil, fmt.Errorf("input \"attention_mask\": %d elements, input_ids has %d", len(kept), len(values))
		}
	}
	rows := make([][]int32, n)
	for i, id := range values {
		if kept != nil && kept[i] == 0 {
			continue
		}
		if int64(int32(id)) != id || id < 0 {
			return nil, fmt.Errorf("input \"input_ids\": element %d is %d, no token id", i, id)
		}
		row := int64(i) / width
		rows[row] = append(rows[row], int32(id))
	}
	return rows, nil
}

var chatKind = Kind{
	Name: "chat", Does: "lays each text out as the message of a user in the chat template of a model, up to where the model answers",
	Parameters: []Parameter{modelParameter, {Name: "system", Does: "message of the system before it"}},
	Fixed: Signature{
		[]Spec{{Name: "user", Type: "BYTES", Dims: []int64{-1, 1}}, {Name: "system", Type: "BYTES", Dims: []int64{1}, Optional: true}},
		[]Spec{{Name: "prompt", Type: "BYTES", Dims: []int64{-1, 1}}},
	},
	compute: layOut,
}

func layOut(b *Builtin, in Tensors, text TextModel) (Tensors, error) {
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	var before []message
	system := b.values["system"]
	if t := in["system"]; t != nil {
		system = t.Texts[0]
	}
	if system != "" {
		before = append(before, message{"system", system})
	}
	prompts := make([]string, len(in["user"].Texts))
	for i, user := range in["user"].Texts {
		conversation, err := json.Marshal(append(before[:len(before):len(before)], message{"user", user}))
		if err == nil {
			prompts[i], err = text.Chat(conversation)
		}
		if err != nil {
			return nil, fmt.Errorf("input \"user\": text %d: %w", i, err)
		}
	}
	return Tensors{"prompt": Of([]int64{int64(len(prompts)), 1}, prompts...)}, nil
}

var templateKind = Kind{
	Name: "template", Does: "fills a Jinja template in. Its inputs are those of its configuration: with `dims: 1` a text or a number, else a list of them",
	Parameters: []Parameter{{Name: "template", Does: "the template; inputs are variables by their names", Required: true}},
	Fixed:      Signature{nil, []Spec{{Name: "text", Type: "BYTES", Dims: []int64{1, 1}}}},
	prepare: func(b *Builtin) error {
		if len(b.signature.Inputs) == 0 {
			return errors.New("its configuration needs the inputs that the template reads")
		}
		for _, s := range b.signature.Inputs {
			if s.Type != "BYTES" && s.Type != "FP32" && s.Type != "INT64" && s.Type != "INT32" {
				return fmt.Errorf("input %.64q: data_type must be TYPE_STRING, TYPE_FP32, TYPE_INT32 or TYPE_INT64", s.Name)
			}
		}
		t, err := template.Parse(b.values["template"])
		b.prepared = t
		return err
	},
	compute: fillIn,
}

func fillIn(b *Builtin, in Tensors, _ TextModel) (Tensors, error) {
	var members []template.Member
	for _, s := range b.signature.Inputs {
		t := in[s.Name]
		if t == nil {
			continue
		}
		list := valuesOf(t)
		value := template.List(list...)
		if len(s.Dims) == 1 && s.Dims[0] == 1 {
			value = list[0]
		}
		members = append(members, template.Member{Key: s.Name, Value: value})
	}
	text, err := b.prepared.(*template.Template).Render(template.Context{Kwargs: template.Object(members...)})
	if err != nil {
		return nil, fmt.Errorf("the template: %w", err)
	}
	return Tensors{"text": Of([]int64{1, 1}, text)}, nil
}

func valuesOf(t *Tensor) (list []template.Value) {
	switch t.Type {
	case "BYTES":
		for _, text := range t.Texts {
			list = append(list, template.String(text))
		}
	case "FP32":
		for _, x := range t.Float32s() {
			list = append(list, template.Float(float64(x)))
		}
	default:
		for _, i := range t.Int64s() {
			list = append(list, template.Int(i))
		}
	}
	return list
}
