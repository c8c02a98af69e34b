package encode

import (
	"fmt"
	"math/rand/v2"

	"llmc/engine"
)

// Fixed returns how many tokens, or rows, all sequences have: of images, and of texts that are padded; 0: it is for the text to say.
func (e *Encoder) Fixed() int {
	if e.readsImages() {
		return e.info.Image.Rows()
	}
	return e.info.Encoder.PadTo
}

// Random makes a sequence for measuring: n random tokens that the model reads all of, or as many as it always reads; random rows of an image.
func (e *Encoder) Random(n int, random *rand.Rand) (Input, error) {
	if fixed := e.Fixed(); fixed > 0 {
		n = fixed
	}
	if most := e.MaxTokens(); n < 1 || n > most {
		return Input{}, fmt.Errorf("sequences of %d tokens: must be within 1..%d", n, most)
	}
	in := Input{IDs: make([]int32, n)}
	if e.readsImages() {
		in.Types, in.Soft = e.info.Image.Types(n), e.info.Image.RandomRows(n, random)
		return in, nil
	}
	end, choice := e.endsWith(), int32(e.info.Vocab)
	if end >= 0 && choice > 1 {
		choice--
	}
	for i := range in.IDs {
		if in.IDs[i] = random.Int32N(choice); end >= 0 && in.IDs[i] >= end {
			in.IDs[i] = min(in.IDs[i]+1, int32(e.info.Vocab)-1)
		}
	}
	if end >= 0 {
		in.IDs[n-1] = end
	}
	return in, nil
}

// endsWith is the token that a text is cut behind; -1: none.
func (e *Encoder) endsWith() int32 {
	switch e.info.Encoder.End {
	case engine.EndLargest:
		return int32(e.info.Vocab) - 1
	case engine.EndToken:
		return e.info.Encoder.EndID
	}
	return -1
}
