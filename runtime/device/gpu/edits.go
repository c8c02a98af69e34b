package gpu

import (
	"encoding/binary"
	"fmt"
	"math"

	"llmc/engine"
)

// edits are the entries of a step's input "edits", for rows whose logits are changed before a token is chosen.
type edits struct {
	most  int      // entries of a step
	seen  []uint32 // by token: the round in which it was biased last
	round uint32
	// counts: what penalties look at are entries too; programs since have counts of their own, see seats.
	counts bool
	bytes  []byte
}

const editBytes = 8 // a token and a value

func (e *edits) entries() uint32 { return uint32(len(e.bytes) / editBytes) }

func (e *edits) put(token int32, value uint32) {
	e.bytes = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(e.bytes, uint32(token)), value)
}

// add appends a row's entries and tells the row where they are. It is not ok, and nothing is appended, where there is no room or a token is
// biased twice: those the host does one after the other.
func (e *edits) add(row *engine.Row, r *engine.SampleRow, vocab int) (ok bool, err error) {
	p, start := row.Sampling, len(e.bytes)
	seen := 0
	if e.counts && r.Flags&engine.SampleSeen != 0 {
		seen = row.History.Len()
	}
	if int(e.entries())+len(p.Bias)+len(p.Banned)+seen > e.most {
		return false, nil
	}
	bad := int32(-1)
	put := func(token int32, value uint32) {
		if token < 0 || int(token) >= vocab {
			bad = token
			return
		}
		e.put(token, value)
	}
	e.round++
	distinct := true
	r.Bias = e.entries()
	for _, b := range p.Bias {
		if put(b.Token, math.Float32bits(b.Bias)); uint(b.Token) < uint(len(e.seen)) {
			distinct = distinct && e.seen[b.Token] != e.round
			e.seen[b.Token] = e.round
		}
	}
	r.Banned = e.entries()
	for _, token := range p.Banned {
		put(token, 0)
	}
	r.History = e.entries()
	if seen > 0 {
		row.History.Each(func(token, outputs int32, _ bool) { put(token, uint32(outputs)) })
	}
	if seen > 0 {
		r.Seen, r.Flags = e.entries(), r.Flags&^engine.SampleSeen|engine.SampleEdited
	}
	if int(e.entries()-r.Bias) != len(p.Bias)+len(p.Banned)+seen {
		return false, fmt.Errorf("token %d is outside the vocabulary of %d", bad, vocab)
	}
	if !distinct {
		e.bytes = e.bytes[:start]
	}
	return distinct, nil
}
