package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// modelJSON is the model section of tokenizer.json.
type modelJSON struct {
	modelSpec
	Dropout *float64
	Vocab   json.RawMessage
	Merges  json.RawMessage
}

func parseModel(section json.RawMessage) (*definition, error) {
	if !present(section) {
		return nil, errors.New("missing")
	}
	var m modelJSON
	if err := json.Unmarshal(section, &m); err != nil {
		return nil, shortError(err)
	}
	if !present(m.Vocab) {
		return nil, errors.New("vocab is missing")
	}
	if m.Dropout != nil && *m.Dropout != 0 {
		return nil, fmt.Errorf("dropout %g makes the same text give other ids each time, set it to null", *m.Dropout)
	}
	d := &definition{}
	d.spec.Model = m.modelSpec
	if m.Type == "" {
		d.spec.Model.Type = guessModel(&m)
	}
	var err error
	if d.spec.Model.Type == "Unigram" {
		d.vocab, d.scores, err = parseScored(m.Vocab)
		return d, err
	}
	if d.vocab, err = parseVocabulary(m.Vocab); err != nil {
		return nil, err
	}
	if d.spec.Model.Type == "BPE" {
		d.merges, err = parseMerges(m.Merges, d.vocab, len(orEmpty(m.ContinuingSubwordPrefix)))
	}
	return d, err
}

// guessModel names the model of a file from before the type was written.
func guessModel(m *modelJSON) string {
	switch {
	case present(m.Merges):
		return "BPE"
	case strings.HasPrefix(string(m.Vocab), "["):
		return "Unigram"
	case m.MaxInputCharsPerWord != nil:
		return "WordPiece"
	}
	return "WordLevel"
}

// parseVocabulary reads {"token": id, ...}; of equal tokens the last counts.
func parseVocabulary(raw json.RawMessage) (*vocabulary, error) {
	c := cursor{data: raw}
	var entries []entry
	at := map[string]int{}
	err := c.object(func(token string) error {
		id, err := c.integer()
		if err != nil {
			return fmt.Errorf("vocab: token %.40q: %w", token, err)
		}
		if i, ok := at[token]; ok {
			entries[i].id = id
			return nil
		}
		at[token] = len(entries)
		entries = append(entries, entry{token, id})
		return nil
	})
	if err != nil {
		return nil, err
	}
	v, err := newVocabulary(entries)
	if err != nil {
		return nil, fmt.Errorf("vocab: %w", err)
	}
	return v, nil
}

// parseScored reads [["token", score], ...]; ids are places in the list.
func parseScored(raw json.RawMessage) (*vocabulary, []float64, error) {
	c := cursor{data: raw}
	var entries []entry
	var scores []float64
	err := c.array(func() error {
		if len(entries) >= maxID {
			return fmt.Errorf("vocab: more than %d tokens", maxID)
		}
		return c.pair(func() (err error) {
			token, err := c.string()
			entries = append(entries, entry{token, int32(len(entries))})
			return err
		}, func() error {
			score, err := c.number()
			scores = append(scores, score)
			return err
		})
	})
	if err != nil {
		return nil, nil, fmt.Errorf("vocab: entry %d: %w", len(entries), err)
	}
	v, err := newVocabulary(entries)
	if err != nil {
		return nil, nil, fmt.Errorf("vocab: %w", err)
	}
	return v, scores, nil
}

// parseMerges reads ["a b", ...] or [["a", "b"], ...]. prefix is the length of the continuation prefix, which the right
// token loses when joined.
func parseMerges(raw json.RawMessage, v *vocabulary, prefix int) ([]merge, error) {
	if !present(raw) {
		return nil, errors.New("merges are missing")
	}
	c := cursor{data: raw}
	var list mergeList
	err := c.array(func() error {
		if c.peek() == '"' {
			line, err := c.string()
			if err != nil || strings.HasPrefix(line, "#version") {
				return err
			}
			return list.addLine(line, v, prefix)
		}
		var left, right string
		err := c.pair(func() (err error) { left, err = c.string(); return err }, func() (err error) { right, err = c.string(); return err })
		if err != nil {
			return err
		}
		return list.add(left, right, v, prefix)
	})
	if err != nil {
		return nil, fmt.Errorf("merge %d: %w", len(list), err)
	}
	return list, nil
}

// mergeList collects merges by rank.
type mergeList []merge

func (l *mergeList) addLine(line string, v *vocabulary, prefix int) error {
	left, right, ok := strings.Cut(line, " ")
	if !ok || strings.Contains(right, " ") {
		return fmt.Errorf("%.40q is not two tokens and a blank", line)
	}
	return l.add(left, right, v, prefix)
}

func (l *mergeList) add(left, right string, v *vocabulary, prefix int) error {
	if len(right) < prefix {
		return fmt.Errorf("token %.40q is shorter than the continuation prefix", right)
	}
	var ids [3]int32
	for i, token := range []string{left, right, left + right[prefix:]} {
		id, ok := v.id(token)
		if !ok {
			return fmt.Errorf("token %.40q is not in the vocabulary", token)
		}
		ids[i] = id
	}
	*l = append(*l, merge{ids[0], ids[1], ids[2]})
	return nil
}
