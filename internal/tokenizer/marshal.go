package tokenizer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// The binary form, in order; numbers are unsigned varints (encoding/binary) unless said otherwise:
//
//	magic "llmctok", version (a byte)
//	length, spec as JSON
//	number of tokens; id of each, as the difference to the one before; length of each; all tokens together
//	number of merges; left, right and result id of each
//	number of scores; each as a little-endian float64
//
// Tables for lookups are not stored: they are built at first use, faster than they could be read.
const (
	binaryMagic   = "llmctok"
	binaryVersion = 1
)

// Marshal gives the binary form. Equal tokenizers give equal bytes.
func (t *Tokenizer) Marshal() ([]byte, error) {
	d := t.definition
	head, err := json.Marshal(d.spec)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	v := d.vocab
	out := make([]byte, 0, len(head)+len(v.text)+3*v.len()+9*len(d.merges)+8*len(d.scores)+64)
	out = append(out, binaryMagic...)
	out = append(out, binaryVersion)
	out = binary.AppendUvarint(out, uint64(len(head)))
	out = append(out, head...)

	out = binary.AppendUvarint(out, uint64(v.len()))
	last := int32(0)
	for i := range v.len() {
		out = binary.AppendUvarint(out, uint64(v.idAt(i)-last))
		last = v.idAt(i)
	}
	for i := range v.len() {
		out = binary.AppendUvarint(out, uint64(len(v.at(i))))
	}
	out = append(out, v.text...)

	out = binary.AppendUvarint(out, uint64(len(d.merges)))
	for _, m := range d.merges {
		out = binary.AppendUvarint(out, uint64(m.left))
		out = binary.AppendUvarint(out, uint64(m.right))
		out = binary.AppendUvarint(out, uint64(m.result))
	}
	out = binary.AppendUvarint(out, uint64(len(d.scores)))
	for _, s := range d.scores {
		out = binary.LittleEndian.AppendUint64(out, math.Float64bits(s))
	}
	return out, nil
}

// Unmarshal builds a tokenizer from its binary form, which it does not keep.
func Unmarshal(data []byte) (*Tokenizer, error) {
	t, err := unmarshal(data)
	if err != nil {
		return nil, fmt.Errorf("tokenizer section: %w", err)
	}
	return t, nil
}

func unmarshal(data []byte) (*Tokenizer, error) {
	if len(data) < len(binaryMagic)+1 || string(data[:len(binaryMagic)]) != binaryMagic {
		return nil, errors.New("does not start with " + binaryMagic)
	}
	if version := data[len(binaryMagic)]; version != binaryVersion {
		return nil, fmt.Errorf("version %d, this program reads version %d", version, binaryVersion)
	}
	r := &reader{data: data, pos: len(binaryMagic) + 1}
	d := &definition{}
	if err := json.Unmarshal(r.bytes(r.count(1, "spec")), &d.spec); err != nil && r.err == nil {
		return nil, fmt.Errorf("spec: %w", shortError(err))
	}
	d.vocab = r.vocabulary()
	d.merges = r.merges()
	d.scores = r.scores()
	if r.err == nil && r.pos != len(data) {
		r.fail("%d bytes too many", len(data)-r.pos)
	}
	if r.err != nil {
		return nil, r.err
	}
	return assemble(d)
}

// A reader takes the binary form apart. After the first error everything it gives is empty.
type reader struct {
	data []byte
	pos  int
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("byte %d: %s", r.pos, fmt.Sprintf(format, args...))
	}
}

func (r *reader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	if r.pos < len(r.data) && r.data[r.pos] < 0x80 { // most numbers take one byte
		r.pos++
		return uint64(r.data[r.pos-1])
	}
	n, size := binary.Uvarint(r.data[r.pos:])
	if size <= 0 {
		r.fail("broken number")
		return 0
	}
	r.pos += size
	return n
}

// count reads the number of elements that each take at least so many bytes.
func (r *reader) count(least int, what string) int {
	n := r.uvarint()
	if n > uint64(len(r.data)-r.pos)/uint64(least) {
		r.fail("%s: %d do not fit in the %d bytes left", what, n, len(r.data)-r.pos)
		return 0
	}
	return int(n)
}

func (r *reader) bytes(n int) []byte {
	if r.err != nil || n > len(r.data)-r.pos {
		r.fail("%d bytes missing", n)
		return nil
	}
	r.pos += n
	return r.data[r.pos-n : r.pos]
}

// id reads a number that must be an id.
func (r *reader) id() int32 {
	n := r.uvarint()
	if n >= maxID {
		r.fail("id %d is not below %d", n, maxID)
		return 0
	}
	return int32(n)
}

func (r *reader) vocabulary() *vocabulary {
	n := r.count(2, "tokens")
	v := &vocabulary{ends: make([]uint32, 1, n+1)}
	ids := make([]int32, 0, n)
	dense, last := true, int32(0)
	for i := range n {
		last += r.id()
		if last >= maxID {
			r.fail("id of token %d is not below %d", i, maxID)
			return v
		}
		dense = dense && last == int32(i)
		ids = append(ids, last)
	}
	if !dense {
		v.ids = ids
	}
	end := uint64(0)
	for range n {
		length := r.uvarint()
		if length > maxToken {
			r.fail("token of %d bytes", length)
			return v
		}
		end += length
		if end > maxFile {
			r.fail("tokens of more than %d MiB", maxFile>>20)
			return v
		}
		v.ends = append(v.ends, uint32(end))
	}
	v.text = string(r.bytes(int(end)))
	if r.err == nil && !wholeCharacters(v) {
		r.fail("tokens that are not UTF-8")
	}
	return v
}

// wholeCharacters reports whether every token is UTF-8.
func wholeCharacters(v *vocabulary) bool {
	for _, end := range v.ends {
		if int(end) < len(v.text) && !utf8.RuneStart(v.text[end]) {
			return false
		}
	}
	return utf8.ValidString(v.text)
}

func (r *reader) merges() []merge {
	n := r.count(3, "merges")
	list := make([]merge, 0, n)
	for range n {
		list = append(list, merge{r.id(), r.id(), r.id()})
	}
	return list
}

func (r *reader) scores() []float64 {
	n := r.count(8, "scores")
	list := make([]float64, 0, n)
	for i := range n {
		bits := r.bytes(8)
		if bits == nil {
			return nil
		}
		score := math.Float64frombits(binary.LittleEndian.Uint64(bits))
		if math.IsInf(score, 0) || math.IsNaN(score) {
			r.fail("score of token %d is not finite", i)
		}
		list = append(list, score)
	}
	return list
}
