package tokenizer

import (
	"fmt"
)

// EncodeWithin gives the ids of a text, or of a pair of texts, with special tokens, and the type id of each, most of them at most: texts are cut at their
// ends, of a pair the longer one first, as tokenizers' "longest_first" does, before special tokens are added.
func (t *Tokenizer) EncodeWithin(most int, texts ...string) (ids, typeIDs []int32, err error) {
	var parts [][]int32
	for _, text := range texts {
		part, err := t.appendText(nil, text)
		if err != nil {
			return nil, nil, err
		}
		parts = append(parts, part)
	}
	empty, err := t.process(make([]segment, len(texts)), true)
	if err != nil {
		return nil, nil, err
	}
	room := most
	for _, s := range empty {
		room -= len(s.ids)
	}
	if room < 0 {
		return nil, nil, fmt.Errorf("special tokens alone are more than %d", most)
	}
	cut(parts, room)
	var segments []segment
	for i, part := range parts {
		segments = append(segments, newSegment(part, int32(i)))
	}
	if segments, err = t.process(segments, true); err != nil {
		return nil, nil, err
	}
	for _, s := range segments {
		ids, typeIDs = append(ids, s.ids...), append(typeIDs, s.types...)
	}
	return ids, typeIDs, nil
}

// cut shortens one or two parts until they have room ids together: of two the longer one to what the other leaves, but not to less than that has; then
// both to half, of an odd number the longer one, the second of equals, to one more.
func cut(parts [][]int32, room int) {
	if len(parts) == 1 {
		parts[0] = parts[0][:min(len(parts[0]), room)]
		return
	}
	if len(parts[0])+len(parts[1]) <= room {
		return
	}
	short, long := &parts[0], &parts[1]
	if len(*short) > len(*long) {
		short, long = long, short
	}
	n, m := len(*short), max(len(*short), room-len(*short))
	if n+m > room {
		n, m = room/2, room-room/2
	}
	*short, *long = (*short)[:min(n, len(*short))], (*long)[:min(m, len(*long))]
}
