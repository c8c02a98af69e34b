package tokenizer

import "errors"

// A piece is text on its way through normalizers and pre-tokenizers. head counts its leading bytes that stem from the
// first character of the text given by the caller; it is what Metaspace's scheme "first" asks for.
type piece struct {
	text []byte
	head int
}

// slice gives text[start:end].
func (p piece) slice(start, end int) piece {
	return piece{p.text[start:end], min(max(p.head-start, 0), end-start)}
}

var errTooLong = errors.New("the normalizer makes this text too long")
