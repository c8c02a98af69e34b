package tokenizer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// configJSON is what tokenizer_config.json and special_tokens_map.json say about tokens.
type configJSON struct {
	Class             string               `json:"tokenizer_class"`
	AddedTokens       map[string]addedJSON `json:"added_tokens_decoder"`
	AddPrefixSpace    bool                 `json:"add_prefix_space"`
	AddBOS            bool                 `json:"add_bos_token"`
	BOS               namedToken           `json:"bos_token"`
	EOS               namedToken           `json:"eos_token"`
	UNK               namedToken           `json:"unk_token"`
	Sep               namedToken           `json:"sep_token"`
	Pad               namedToken           `json:"pad_token"`
	Cls               namedToken           `json:"cls_token"`
	Mask              namedToken           `json:"mask_token"`
	AdditionalSpecial []namedToken         `json:"additional_special_tokens"`
	DoLowerCase       *bool                `json:"do_lower_case"`
}

// namedToken is a token given as a string or as an object.
type namedToken struct {
	spec addedSpec
	set  bool
}

func (t *namedToken) UnmarshalJSON(data []byte) error {
	var content *string
	if json.Unmarshal(data, &content) == nil {
		if content != nil {
			*t = namedToken{addedSpec{Content: *content, Special: true}, true}
		}
		return nil
	}
	var object addedJSON
	if err := json.Unmarshal(data, &object); err != nil || object.Content == nil {
		return fmt.Errorf("a token is neither a string nor an object with content")
	}
	spec, err := object.spec()
	spec.Special = true
	*t = namedToken{spec, true}
	return err
}

// addFromConfig adds the tokens that tokenizer_config.json lists and tokenizer.json lacks, as transformers does when it
// loads the two. One whose id would come out different is left out.
func (d *definition) addFromConfig(data []byte) error {
	listed, err := configTokens(data)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	next := int32(d.vocab.len())
	for _, a := range d.spec.AddedTokens {
		if _, ok := d.vocab.id(a.Content); !ok && !known[a.Content] && a.Content != "" {
			next++
		}
		known[a.Content] = true
	}
	for _, token := range listed {
		if known[token.spec.Content] || token.spec.Content == "" {
			continue
		}
		id, ok := d.vocab.id(token.spec.Content)
		if !ok {
			id = next
		}
		if id != token.id {
			continue
		}
		if !ok {
			next++
		}
		known[token.spec.Content] = true
		d.spec.AddedTokens = append(d.spec.AddedTokens, token.spec)
	}
	return nil
}

type listedToken struct {
	id   int32
	spec addedSpec
}

// configTokens gives the added_tokens_decoder of tokenizer_config.json in order of ids.
func configTokens(data []byte) ([]listedToken, error) {
	if data == nil {
		return nil, nil
	}
	var config configJSON
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, shortError(err)
	}
	return config.listed()
}

func (c *configJSON) listed() ([]listedToken, error) {
	var list []listedToken
	for key, a := range c.AddedTokens {
		id, err := strconv.ParseUint(key, 10, 31)
		if err != nil || id >= maxID {
			return nil, fmt.Errorf("added_tokens_decoder: %.20q is not an id below %d", key, maxID)
		}
		spec, err := a.spec()
		if err != nil {
			return nil, fmt.Errorf("added_tokens_decoder: %s: %w", key, err)
		}
		list = append(list, listedToken{int32(id), spec})
	}
	slices.SortFunc(list, func(a, b listedToken) int { return int(a.id - b.id) })
	return list, nil
}
