package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
)

// A segment is a stretch of the result with its type ids.
type segment struct{ ids, types []int32 }

func newSegment(ids []int32, typeID int32) segment {
	s := segment{ids, make([]int32, len(ids))}
	for i := range s.types {
		s.types[i] = typeID
	}
	return s
}

// A postProcessor adds special tokens around the sequences (one, or two of a pair). Its output may be the input of
// another one.
type postProcessor interface {
	process(in []segment, special bool) ([]segment, error)
}

// postProcessors lists the kinds of the file; Sequence is taken apart before. ByteLevel only moves offsets, which
// nobody asks for here.
var postProcessors = []maker[postProcessor]{
	fixed[postProcessor]("ByteLevel"),
	with("TemplateProcessing", newTemplate),
	with("BertProcessing", func(p wrapParams) ([]postProcessor, error) { return p.make(false) }),
	with("RobertaProcessing", func(p wrapParams) ([]postProcessor, error) { return p.make(true) }),
}

// wrapParams are [token, id] pairs.
type wrapParams struct{ Sep, Cls tokenWithID }

type tokenWithID struct {
	id    int32
	known bool
}

func (t *tokenWithID) UnmarshalJSON(data []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(data, &pair); err != nil || len(pair) != 2 {
		return errors.New("not a pair of token and id")
	}
	t.known = true
	if err := json.Unmarshal(pair[1], &t.id); err != nil {
		return errors.New("id is not an integer")
	}
	return checkID(t.id)
}

func checkID(id int32) error {
	if id < 0 || id >= maxID {
		return fmt.Errorf("id %d is not below %d", id, maxID)
	}
	return nil
}

func (p wrapParams) make(roberta bool) ([]postProcessor, error) {
	if !p.Sep.known || !p.Cls.known {
		return nil, errors.New("sep or cls is missing")
	}
	return []postProcessor{wrap{p.Cls.id, p.Sep.id, roberta}}, nil
}

// wrap is [CLS] A [SEP] B [SEP] of BERT or <s> A </s></s> B </s> of RoBERTa, whose type ids are all 0.
type wrap struct {
	cls, sep int32
	roberta  bool
}

func (w wrap) process(in []segment, special bool) ([]segment, error) {
	var out []segment
	for i, s := range in {
		if w.roberta {
			clear(s.types)
		}
		side := int32(1) // type id of the special tokens of the second sequence
		if i == 0 || w.roberta {
			side = 0
		}
		switch {
		case !special:
			out = append(out, s)
			continue
		case i == 0:
			out = append(out, newSegment([]int32{w.cls}, side))
		case w.roberta:
			out = append(out, newSegment([]int32{w.sep}, side))
		}
		out = append(out, s, newSegment([]int32{w.sep}, side))
	}
	return out, nil
}

// template puts the sequences and special tokens in the order of a list: one for single sequences, one for pairs.
type template struct{ single, pair []templatePiece }

// templatePiece is special tokens, or sequence 0 or 1.
type templatePiece struct {
	special  []int32
	sequence int
	typeID   int32
}

type templateParams struct {
	Single, Pair  []templatePieceParams
	SpecialTokens map[string]struct{ IDs []int32 } `json:"special_tokens"`
}

type templatePieceParams struct {
	Sequence *struct {
		ID     string
		TypeID int32 `json:"type_id"`
	}
	SpecialToken *struct {
		ID     string
		TypeID int32 `json:"type_id"`
	}
}

func newTemplate(p templateParams) ([]postProcessor, error) {
	var t template
	for _, list := range []struct {
		name   string
		pieces []templatePieceParams
		to     *[]templatePiece
		most   int
	}{{"single", p.Single, &t.single, 1}, {"pair", p.Pair, &t.pair, 2}} {
		if len(list.pieces) > maxTemplate {
			return nil, fmt.Errorf("%s has more than %d pieces", list.name, maxTemplate)
		}
		for i, piece := range list.pieces {
			made, err := p.piece(piece, list.most)
			if err != nil {
				return nil, fmt.Errorf("%s piece %d: %w", list.name, i, err)
			}
			*list.to = append(*list.to, made)
		}
	}
	return []postProcessor{t}, nil
}

// piece checks one piece of a template for at most so many sequences.
func (p templateParams) piece(in templatePieceParams, sequences int) (templatePiece, error) {
	switch {
	case in.Sequence != nil:
		made := templatePiece{typeID: in.Sequence.TypeID}
		if in.Sequence.ID == "B" {
			made.sequence = 1
		} else if in.Sequence.ID != "A" {
			return made, fmt.Errorf("sequence %.40q is neither A nor B", in.Sequence.ID)
		}
		if made.sequence >= sequences {
			return made, errors.New("there is no sequence B here")
		}
		return made, nil
	case in.SpecialToken != nil:
		token, ok := p.SpecialTokens[in.SpecialToken.ID]
		if !ok {
			return templatePiece{}, fmt.Errorf("special token %.40q is not listed", in.SpecialToken.ID)
		}
		if len(token.IDs) > maxTemplate {
			return templatePiece{}, fmt.Errorf("special token %.40q has %d ids", in.SpecialToken.ID, len(token.IDs))
		}
		for _, id := range token.IDs {
			if err := checkID(id); err != nil {
				return templatePiece{}, fmt.Errorf("special token %.40q: %w", in.SpecialToken.ID, err)
			}
		}
		return templatePiece{special: append([]int32{}, token.IDs...), typeID: in.SpecialToken.TypeID}, nil
	}
	return templatePiece{}, errors.New("neither Sequence nor SpecialToken")
}

func (t template) process(in []segment, special bool) ([]segment, error) {
	var list []templatePiece
	switch len(in) {
	case 1:
		list = t.single
	case 2:
		list = t.pair
	default:
		return nil, fmt.Errorf("template for one or two sequences applied to %d", len(in))
	}
	var out []segment
	for _, piece := range list {
		switch {
		case piece.special == nil:
			out = append(out, newSegment(in[piece.sequence].ids, piece.typeID))
		case special:
			out = append(out, newSegment(piece.special, piece.typeID))
		}
	}
	return out, nil
}
