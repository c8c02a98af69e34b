package tokenizer

import "bytes"

// A trie finds the tokens that a text starts with. Nodes are numbered breadth first, so that the edge with index e
// leads to node e+1 and the edges of a node are first[node]..first[node+1].
type trie struct {
	first []int32
	label []byte
	value []int32 // by node: what was stored under its path, or noValue
}

const noValue = -1

// root is where every search starts.
const root = 0

// newTrie stores value(i) under key(i) for i < n; of equal keys the last counts.
func newTrie(n int, key func(int) string, value func(int) int32) *trie {
	t := &trie{}
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
	}
	type span struct{ lo, hi, depth int32 } // keys order[lo:hi] share their first depth bytes
	queue := []span{{0, int32(n), 0}}
	var spare []int32
	for head := 0; head < len(queue); head++ {
		s := queue[head]
		keys := order[s.lo:s.hi]
		t.first = append(t.first, int32(len(t.label)))
		here := int32(noValue)
		spare = partition(keys, spare, func(i int32) int { return byteAt(key(int(i)), int(s.depth)) })
		for lo := 0; lo < len(keys); {
			b := byteAt(key(int(keys[lo])), int(s.depth))
			hi := lo + 1
			for hi < len(keys) && byteAt(key(int(keys[hi])), int(s.depth)) == b {
				hi++
			}
			if b == endOfKey {
				here = value(int(keys[hi-1]))
			} else {
				t.label = append(t.label, byte(b))
				queue = append(queue, span{s.lo + int32(lo), s.lo + int32(hi), s.depth + 1})
			}
			lo = hi
		}
		t.value = append(t.value, here)
	}
	t.first = append(t.first, int32(len(t.label)))
	return t
}

const endOfKey = -1

func byteAt(s string, i int) int {
	if i >= len(s) {
		return endOfKey
	}
	return int(s[i])
}

// partition sorts keys by their class (endOfKey..255), stably; it returns scratch memory for the next call.
func partition(keys, spare []int32, class func(int32) int) []int32 {
	if len(keys) <= 12 { // most nodes have few keys: insertion sort
		for i := 1; i < len(keys); i++ {
			for j := i; j > 0 && class(keys[j]) < class(keys[j-1]); j-- {
				keys[j], keys[j-1] = keys[j-1], keys[j]
			}
		}
		return spare
	}
	var start [258]int
	for _, k := range keys {
		start[class(k)+2]++
	}
	for i := 1; i < len(start); i++ {
		start[i] += start[i-1]
	}
	spare = append(spare[:0], keys...)
	for _, k := range spare {
		c := class(k) + 1
		keys[start[c]] = k
		start[c]++
	}
	return spare
}

// child gives the node one byte further, or -1.
func (t *trie) child(node int32, b byte) int32 {
	lo, hi := t.first[node], t.first[node+1]
	if i := bytes.IndexByte(t.label[lo:hi], b); i >= 0 {
		return lo + int32(i) + 1
	}
	return -1
}

// walk follows text from a node; -1 where it leaves the trie.
func (t *trie) walk(node int32, text string) int32 {
	for i := 0; i < len(text) && node >= 0; i++ {
		node = t.child(node, text[i])
	}
	return node
}

// longest gives the value and length of the longest non-empty key that text starts with below node; length 0: none.
func (t *trie) longest(node int32, text []byte) (value int32, length int) {
	for i, b := range text {
		if node = t.child(node, b); node < 0 {
			break
		}
		if v := t.value[node]; v != noValue {
			value, length = v, i+1
		}
	}
	return value, length
}
