package cuda

import (
	"llmc/codegen/ptx"
	"llmc/ir"
)

// Tokens of a decoder that see the text of their sequence (cross attention) are those of attention whose positions do not matter: each sees all of the text,
// from the first position to the last. What is told of sequences is told of their texts, in inputs of other names.

// textInputs are the names under which a launch over texts is told what others are told of sequences.
var textInputs = map[string]string{"page_start": "source_start", "pages": "source_pages", "context": "source_length"}

// told is the pointer to what is told of sequences, or of their texts.
func (a *attend) told(input string) ptx.Reg {
	if a.reach.Text {
		input = textInputs[input]
	}
	return a.e.pointers[input]
}

// seesText tells that an op reads what another function has kept of texts: nothing in its own has written the cache before it.
func seesText(op *ir.Op) bool {
	return op.Arg("cache").Def == nil && op.Int("ahead") >= ir.EveryPosition
}

// plainText tells that an op over texts has nothing that depends on positions.
func plainText(op *ir.Op) bool {
	for _, arg := range []string{"alibi", "sinks", "relative", "inv_freq"} {
		if op.Arg(arg) != nil {
			return false
		}
	}
	return seesText(op) && op.Int("window") == 0 && op.Int("chunk") == 0
}

// seesAhead tells whether tokens see positions that are not before their own, so that they must know where the sequence ends.
func (a *attend) seesAhead() bool { return a.reach.Ahead > 0 || a.reach.Text }
