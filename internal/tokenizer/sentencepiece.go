package tokenizer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Llama checkpoints from before tokenizer.json have tokenizer.model, a model of the sentencepiece library. What follows makes of it
// what transformers makes of it for its Llama tokenizers.

// llamaClasses are the tokenizer classes whose tokenizer.model is read; "" stands for those that say nothing.
var llamaClasses = []string{"", "LlamaTokenizer", "LlamaTokenizerFast"}

// pieceKind is the type of a sentencepiece.
type pieceKind int

const (
	controlPiece     pieceKind = 3
	userDefinedPiece pieceKind = 4
)

// sentencePiece is one token of a ModelProto (sentencepiece_model.proto).
type sentencePiece struct {
	text  string
	score float64
	kind  pieceKind
}

// Model types of TrainerSpec.
const (
	unigramPieces = 1
	bpePieces     = 2
)

// sentencePieces is the part of a ModelProto that is used.
type sentencePieces struct {
	pieces []sentencePiece
	model  int
	unk    string
}

func parseSentencePieces(data []byte) (*sentencePieces, error) {
	m := &sentencePieces{model: unigramPieces, unk: "<unk>"}
	err := eachField(data, func(f *protoField) error {
		switch f.tag {
		case 1:
			p := sentencePiece{kind: 1}
			m.pieces = append(m.pieces, p)
			if len(m.pieces) > maxID {
				return fmt.Errorf("more than %d pieces", maxID)
			}
			return m.pieces[len(m.pieces)-1].parse(f.bytes)
		case 2:
			return eachField(f.bytes, func(f *protoField) error {
				switch f.tag {
				case 3:
					m.model = int(f.number)
				case 45:
					m.unk = string(f.bytes)
				}
				return nil
			})
		}
		return nil
	})
	return m, err
}

func (p *sentencePiece) parse(message []byte) error {
	err := eachField(message, func(f *protoField) error {
		switch f.tag {
		case 1:
			p.text = string(f.bytes)
		case 2:
			p.score = f.float()
		case 3:
			p.kind = pieceKind(f.number)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case !utf8.ValidString(p.text):
		return errors.New("a piece is not UTF-8")
	case len(p.text) > maxSearched:
		return fmt.Errorf("piece %.40q has %d bytes, at most %d are read", p.text, len(p.text), maxSearched)
	case p.score != p.score:
		return fmt.Errorf("piece %.40q: the score is not a number", p.text)
	}
	return nil
}

// llamaOptions are what tokenizer_config.json says about a Llama tokenizer besides its tokens.
type llamaOptions struct {
	AddBOS         *bool `json:"add_bos_token"`
	AddEOS         bool  `json:"add_eos_token"`
	AddPrefixSpace *bool `json:"add_prefix_space"`
	Legacy         *bool `json:"legacy"`
}

func orTrue(b *bool) bool { return b == nil || *b }

// parseSentencePiece builds a definition from tokenizer.model.
func parseSentencePiece(files Files) (*definition, error) {
	config, err := readConfigs(files)
	if err != nil {
		return nil, err
	}
	var options llamaOptions
	if files.Config != nil {
		if err := json.Unmarshal(files.Config, &options); err != nil {
			return nil, fmt.Errorf("tokenizer_config.json: %w", shortError(err))
		}
	}
	m, err := parseSentencePieces(files.SentencePiece)
	switch {
	case err != nil:
		return nil, err
	case !slices.Contains(llamaClasses, config.Class):
		return nil, fmt.Errorf("for tokenizer class %.40q it is not read: save the checkpoint with a fast tokenizer", config.Class)
	case m.model != bpePieces:
		return nil, errors.New("it is no BPE model: save the checkpoint with a fast tokenizer")
	case len(m.pieces) < 3:
		return nil, errors.New("it has no pieces")
	}
	d := &definition{}
	d.spec.Model = modelSpec{Type: "BPE", UnkToken: &m.unk, FuseUnk: true, ByteFallback: true}
	if err := d.setPieces(m.pieces); err != nil {
		return nil, err
	}
	defaultLlamaTokens(config)
	d.addPieces(m.pieces, config)
	d.addSpecials(config)
	d.setLlamaPipeline(&options)
	d.spec.PostProcessor = llamaTemplate(config, &options, d.vocab)
	return d, d.addFromConfig(files.Config)
}

// setPieces makes the vocabulary and the merges: every way to cut a piece in two pieces is a merge, ranked by the score of the whole.
func (d *definition) setPieces(pieces []sentencePiece) error {
	for i := range pieces[:3] { // <unk>, <s>, </s>
		pieces[i].score = 0
	}
	entries := make([]entry, len(pieces))
	for i, p := range pieces {
		entries[i] = entry{p.text, int32(i)}
	}
	var err error
	if d.vocab, err = newVocabulary(entries); err != nil {
		return err
	}
	type cut struct {
		merge
		score               float64
		leftSize, rightSize int // in characters
	}
	var cuts []cut
	for i, p := range pieces {
		first := len(cuts)
		count, at := utf8.RuneCountInString(p.text), 0
		for end := range p.text {
			if end == 0 {
				continue
			}
			at++
			left, ok := d.vocab.id(p.text[:end])
			right, ok2 := d.vocab.id(p.text[end:])
			if ok && ok2 {
				cuts = append(cuts, cut{merge{left, right, int32(i)}, p.score, at, count - at})
			}
		}
		slices.SortFunc(cuts[first:], func(a, b cut) int { return cmp.Or(cmp.Compare(a.left, b.left), cmp.Compare(a.right, b.right)) })
	}
	slices.SortStableFunc(cuts, func(a, b cut) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.leftSize, a.leftSize), cmp.Compare(b.rightSize, a.rightSize))
	})
	for _, c := range cuts {
		d.merges = append(d.merges, c.merge)
	}
	return nil
}

// defaultLlamaTokens sets the tokens that Llama tokenizers have when their configuration names none.
func defaultLlamaTokens(c *configJSON) {
	for _, t := range []struct {
		token *namedToken
		text  string
	}{{&c.BOS, "<s>"}, {&c.EOS, "</s>"}, {&c.UNK, "<unk>"}} {
		if !t.token.set {
			*t.token = namedToken{addedSpec{Content: t.text, Special: true}, true}
		}
	}
}

// addPieces adds the pieces that are found in texts as they are, unless the configuration describes them.
func (d *definition) addPieces(pieces []sentencePiece, c *configJSON) {
	described := map[string]bool{}
	for _, a := range c.AddedTokens {
		described[orEmpty(a.Content)] = true
	}
	for _, t := range append([]namedToken{c.BOS, c.EOS, c.UNK, c.Sep, c.Pad, c.Cls, c.Mask}, c.AdditionalSpecial...) {
		described[t.spec.Content] = true
	}
	for _, p := range pieces {
		if (p.kind == controlPiece || p.kind == userDefinedPiece) && !described[p.text] && p.text != "" {
			d.spec.AddedTokens = append(d.spec.AddedTokens, addedSpec{Content: p.text, Special: p.kind == controlPiece})
		}
	}
}

// setLlamaPipeline sets what comes before and after the model. The older way writes all blanks as marks before added tokens are cut
// out; the newer one after, so that no mark follows an added token.
func (d *definition) setLlamaPipeline(o *llamaOptions) {
	prefix := orTrue(o.AddPrefixSpace)
	strip := `,{"type":"Strip","content":" ","start":1,"stop":0}`
	if !prefix {
		strip = ""
	}
	d.spec.Decoder = json.RawMessage(`{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"}` + strip + `]}`)
	if !orTrue(o.Legacy) {
		scheme := prependFirst
		if !prefix {
			scheme = prependNever
		}
		d.spec.PreTokenizer = json.RawMessage(`{"type":"Metaspace","replacement":"▁","prepend_scheme":"` + scheme + `","split":false}`)
		return
	}
	prepend := `{"type":"Prepend","prepend":"▁"},`
	if !prefix {
		prepend = ""
	}
	d.spec.Normalizer = json.RawMessage(`{"type":"Sequence","normalizers":[` + prepend + `{"type":"Replace","pattern":{"String":" "},"content":"▁"}]}`)
}

// llamaTemplate puts <s> before and, where asked for, </s> behind each sequence.
func llamaTemplate(c *configJSON, o *llamaOptions, v *vocabulary) json.RawMessage {
	var tokens []string
	listed, _ := c.listed() // addFromConfig reports mistakes in it
	piece := func(t namedToken, add bool) (first, second string) {
		name, id, ok := tokenJSON(t, v)
		for _, a := range listed { // behind the pieces
			if !ok && a.spec.Content == t.spec.Content {
				id, ok = a.id, true
			}
		}
		if !ok || !add {
			return "", ""
		}
		tokens = append(tokens, fmt.Sprintf(`%s:{"ids":[%d]}`, name, id))
		text := `{"SpecialToken":{"id":` + name + `,"type_id":%d}}`
		return fmt.Sprintf(text, 0), fmt.Sprintf(text, 1)
	}
	bosA, bosB := piece(c.BOS, orTrue(o.AddBOS))
	eosA, eosB := piece(c.EOS, o.AddEOS)
	join := func(parts ...string) string {
		return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ",")
	}
	single := join(bosA, `{"Sequence":{"id":"A","type_id":0}}`, eosA)
	pair := join(single, bosB, `{"Sequence":{"id":"B","type_id":1}}`, eosB)
	return json.RawMessage(`{"type":"TemplateProcessing","single":[` + single + `],"pair":[` + pair + `],"special_tokens":{` + join(tokens...) + `}}`)
}
