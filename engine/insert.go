package engine

import (
	"errors"
	"fmt"
)

// InsertInfo is for models that read images among tokens: in a prompt a token stands for each row that function "image" makes of an image, but for the first
// Skip ones.
type InsertInfo struct {
	Token int32 `msgpack:"token" json:"token"`
	Skip  int   `msgpack:"skip,omitempty" json:"skip,omitempty"`
}

// ImageTokens is how many tokens of a prompt stand for an image; 0: the model reads none among tokens.
func (m *ModelInfo) ImageTokens() int {
	if m.Insert == nil {
		return 0
	}
	return m.Image.Rows() - m.Insert.Skip
}

// checkInsert wants tokens for images that the model reads.
func (m *ModelInfo) checkInsert() error {
	switch {
	case m.Insert == nil:
		return nil
	case m.Image == nil || m.Encoder != nil || m.Source != nil:
		return errors.New("tokens stand for images, which the model does not read beside text that it goes on with")
	case m.Insert.Token < 0 || int(m.Insert.Token) >= m.Vocab:
		return fmt.Errorf("token %d, which stands for images, is not in the vocabulary of %d", m.Insert.Token, m.Vocab)
	case m.Insert.Skip < 0 || m.Insert.Skip >= m.Image.Rows():
		return fmt.Errorf("%d of %d rows of an image are left out", m.Insert.Skip, m.Image.Rows())
	}
	return nil
}

// Expand returns a prompt in which a token of an image is one for each of its rows, and where each image begins. There must be as many of them as images.
func (m *ModelInfo) Expand(ids []int32, images int) (prompt []int32, at []int, err error) {
	n, found := m.ImageTokens(), 0
	if n == 0 {
		if images > 0 {
			return nil, nil, errors.New("the model reads no images")
		}
		return ids, nil, nil
	}
	for _, id := range ids {
		if id == m.Insert.Token {
			found++
		}
	}
	if found != images {
		return nil, nil, fmt.Errorf("%d tokens of the prompt stand for images, and there are %d images; a text must not hold the name of token %d", found, images, m.Insert.Token)
	}
	prompt = make([]int32, 0, len(ids)+images*(n-1))
	for _, id := range ids {
		if id != m.Insert.Token {
			prompt = append(prompt, id)
			continue
		}
		at = append(at, len(prompt))
		for range n {
			prompt = append(prompt, id)
		}
	}
	return prompt, at, nil
}
