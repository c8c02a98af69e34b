package models

import (
	"fmt"

	"llmc/internal/dtype"
	"llmc/internal/relative"
	"llmc/ir"
)

// relativeScores are learned numbers that scores have added for the distance of a position. One layer has them for all.
type relativeScores struct {
	tensor string
	relative.Buckets
}

// crossing are the tensors with which a layer of a decoder attends to an encoder's rows.
type crossing struct {
	norm, q, k, v, o string
}

// EncodeFunc is the function that a sequence's text goes through before its first step.
const EncodeFunc = "encode"

// buildEncode writes the function "encode": the encoder's rows, and in the cache "cross" the keys and values that every layer of the decoder makes of them.
// The encoder's own keys and values are needed by one layer at a time, in the cache "encoder".
func (in *importer) buildEncode(d *decoder, cross *ir.Cache, kv dtype.Type) {
	e := d.encoder
	s := in.Sequences(EncodeFunc, in.CrossCache("encoder", 1, e.kvHeads, e.dim, kv), cross)
	table, _ := in.tables(d)
	x, token := in.stack(e, in.embed(e, table, s), map[*rope]ir.Rope{nil: {}}, s)
	crossed := s.Tokens[1]
	for i := range d.layers {
		l := &layer{importer: in, decoder: d, index: i, label: fmt.Sprintf("l%d.cross.", i), prefix: fmt.Sprintf("%s%d.", d.names.layers, i)}
		width := d.kvHeads * d.dim
		k := l.project(x, projection{what: "k", name: l.cross.k, axis: "col", outputs: width, inputs: e.hidden, biased: l.qkvBias})
		v := l.project(x, projection{what: "v", name: l.cross.v, axis: "col", outputs: width, inputs: e.hidden, biased: l.qkvBias})
		crossed = in.KVWrite(crossed, k, v, i)
	}
	in.Return(x.As("encoded"), token, crossed)
}

// attendText is the stream behind a layer's attention to the text that was encoded, in decoders that have one.
func (l *layer) attendText(x *ir.Value, s ir.Step) *ir.Value {
	if l.encoder == nil {
		return x
	}
	into, width := x, l.heads*l.dim
	if !l.norms.after {
		into = l.norm(x, l.cross.norm)
	}
	q := l.project(into, projection{what: "cross.q", name: l.cross.q, axis: "col", outputs: width, inputs: l.hidden, biased: l.qkvBias})
	y := l.Attention(q, s.Tokens[1], s, ir.Attention{
		Layer: l.index, Heads: l.heads, KVHeads: l.kvHeads, Dim: l.dim, Scale: l.scale(), Ahead: ir.EveryPosition,
	}).As(l.label + "cross")
	x = l.Add(x, l.project(y, projection{what: "cross.o", name: l.cross.o, axis: "row", outputs: l.hidden, inputs: width, biased: l.outBias}))
	if l.norms.after {
		x = l.norm(x, l.cross.norm)
	}
	return x
}

// encoderOf is an encoder of the decoder's widths, with the names and sizes that change sets.
func encoderOf(d *decoder, change func(e *decoder)) *decoder {
	e := *d
	e.encoder, e.whole, e.bothWay, e.mark = nil, true, true, "e"
	change(&e)
	e.windows, e.ropes = make([]int, e.layers), make([]*rope, e.layers)
	return &e
}
