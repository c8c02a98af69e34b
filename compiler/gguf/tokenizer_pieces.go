package gguf

import (
	"encoding/binary"
	"math"

	"llmc/compiler/hf"
)

// sentencePieces makes tokenizer.model (sentencepiece_model.proto) of tokens with scores: the pieces, and of the trainer's settings that it is a BPE model and what its
// unknown piece is called.
func (v *vocabulary) sentencePieces() (hf.Part, *hf.Document, error) {
	scores, err := v.numbers(scoresKey)
	if err != nil {
		return 0, nil, err
	}
	if len(scores) != len(v.tokens) {
		return 0, nil, v.errorf(scoresKey, "has %d entries, there are %d tokens", len(scores), len(v.tokens))
	}
	var model []byte
	for i, token := range v.tokens {
		if v.kinds[i] < normalToken || v.kinds[i] > 6 {
			return 0, nil, v.errorf(typesKey, "token %d has type %d, which is not defined", i, v.kinds[i])
		}
		piece := field(nil, 1, []byte(token))
		piece = append(piece, 2<<3|5) // a float
		piece = binary.LittleEndian.AppendUint32(piece, math.Float32bits(float32(scores[i])))
		piece = append(piece, 3<<3)
		piece = binary.AppendUvarint(piece, uint64(v.kinds[i]))
		model = field(model, 1, piece)
	}
	trainer := []byte{3 << 3, 2} // model_type: BPE
	trainer = field(trainer, 45, []byte(v.name("unk_token")))
	return hf.SentencePiece, &hf.Document{Name: "tokenizer.model", Data: field(model, 2, trainer)}, nil
}

// field appends a field of bytes to a message of protocol buffers.
func field(message []byte, tag uint64, data []byte) []byte {
	message = binary.AppendUvarint(message, tag<<3|2)
	message = binary.AppendUvarint(message, uint64(len(data)))
	return append(message, data...)
}
