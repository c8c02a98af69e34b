package interp

import (
	"fmt"
	"math"

	"llmc/ir"
)

// cache is the state of one cache: keys and values of each layer, sequence and position, as stored.
type cache struct {
	row    *ir.Cache
	layers []map[int]*history // by sequence
}

// history is what one layer remembers of one sequence; index is the position. Of a state there is what it is now: its rows are those of k, and next is
// the position that is to come, by the first of the rows that an op moves on.
type history struct {
	k, v [][]float32
	next map[int]int
}

func newCache(row *ir.Cache) *cache {
	c := &cache{row: row}
	for range row.Layers {
		c.layers = append(c.layers, map[int]*history{})
	}
	return c
}

func (c *cache) drop(seq int) {
	for _, layer := range c.layers {
		delete(layer, seq)
	}
}

func (c *cache) history(layer, seq int) *history {
	h := c.layers[layer][seq]
	if h == nil {
		h = &history{}
		c.layers[layer][seq] = h
	}
	return h
}

// store keeps k and v as the cache's type has them. A position may be written again, but none left out.
func (c *call) store(k, v Tensor) error {
	cache := c.caches[c.op.Arg("cache").Type.Cache]
	for m := range k.Rows {
		h := cache.history(c.int("layer"), c.batch.Seq[m])
		position := int(c.batch.Positions[m])
		if position < 0 || position > len(h.k) {
			return fmt.Errorf("token %d is at position %d of a sequence of %d", m, position, len(h.k))
		}
		key, value := append([]float32(nil), k.Row(m)...), append([]float32(nil), v.Row(m)...)
		for _, row := range [][]float32{key, value} {
			if c.Exact {
				continue
			}
			if err := storedInCache(row, cache.row); err != nil {
				return err
			}
		}
		if position == len(h.k) {
			h.k, h.v = append(h.k, nil), append(h.v, nil)
		}
		h.k[position], h.v[position] = key, value
	}
	return nil
}

func (c *call) kvWrite() error { return c.store(c.arg("k"), c.arg("v")) }

func (c *call) attention() error {
	q, dim := c.arg("q"), c.int("dim")
	y := newTensor(q.Rows, q.Cols)
	cache := c.caches[c.op.Arg("cache").Type.Cache]
	biases, err := c.biases()
	if err != nil {
		return err
	}
	for m := range q.Rows {
		h := cache.history(c.int("layer"), c.batch.Seq[m])
		keys, err := c.keys(h, m)
		if err != nil {
			return err
		}
		group := c.int("heads") / c.int("kv_heads")
		for head := range c.int("heads") {
			at, kv := head*dim, head/group*dim
			biases.head = head
			c.attend(y.Row(m)[at:at+dim], q.Row(m)[at:at+dim], keys, h.v, kv, m, biases)
		}
	}
	c.give(y)
	return c.round(y.Data, c.op.Result().Type.DType)
}

// keys returns the keys that token m sees, turned by the token's length where they are stored unturned.
func (c *call) keys(h *history, m int) ([][]float32, error) {
	position := int(c.batch.Positions[m])
	if c.ofText() {
		if len(h.k) == 0 {
			return nil, fmt.Errorf("token %d attends to a text that has not been encoded", m)
		}
		return h.k, nil
	}
	if position < 0 || position >= len(h.k) {
		return nil, fmt.Errorf("token %d attends from position %d of a sequence of %d", m, position, len(h.k))
	}
	if !c.has("inv_freq") {
		return h.k, nil
	}
	r, err := c.rotation(c.int("dim"))
	if err != nil {
		return nil, err
	}
	turned := make([][]float32, position+1)
	for p := range turned {
		turned[p] = append([]float32(nil), h.k[p]...)
		r.turn(turned[p], int32(p), c.arg("ropelen").Index[m])
	}
	return turned, nil
}

// biases are what scores of a head have besides queries and keys.
type biases struct {
	head         int
	window       int // 0: all positions
	chunk        int // positions of a chunk, of which tokens see only their own; 0: all are one
	ahead        int // positions seen behind the token's own
	softcap      float64
	alibi, sinks []float32 // by head; nil: none
	relative     []float32 // [buckets, heads]; nil: none
}

func (c *call) biases() (b biases, err error) {
	b.chunk = c.int("chunk")
	b.window, b.ahead, b.softcap = c.int("window"), c.int("ahead"), c.op.Float("softcap")
	for name, to := range map[string]*[]float32{"alibi": &b.alibi, "sinks": &b.sinks, "relative": &b.relative} {
		if !c.has(name) {
			continue
		}
		w, err := c.weight(name)
		if err != nil {
			return b, err
		}
		*to = w.Data
	}
	return b, nil
}

// ofText tells whether the cache holds a text, all of which a token sees.
func (c *call) ofText() bool { return c.caches[c.op.Arg("cache").Type.Cache].row.Kind == ir.Cross }

// seen returns the positions [first, end) that token m sees, of so many that are cached.
func (c *call) seen(m, cached int, b biases) (first, end int) {
	if c.ofText() {
		return 0, cached
	}
	position := int(c.batch.Positions[m])
	if b.window > 0 {
		first = max(0, position-b.window+1)
	}
	if b.chunk > 0 {
		first = max(first, position/b.chunk*b.chunk)
	}
	if b.ahead > 0 {
		return first, min(position+1+b.ahead, c.batch.context(m))
	}
	return first, position + 1
}

// attend computes one head of token m: y = softmax(scale * q.K) V. kv is the first channel of the head's keys and values.
func (c *call) attend(y, q []float32, keys, values [][]float32, kv, m int, b biases) {
	first, end := c.seen(m, len(values), b)
	position := int(c.batch.Positions[m])
	scores := make([]float64, end-first)
	top := math.Inf(-1)
	for i := range scores {
		for d, x := range q {
			scores[i] += float64(x) * float64(keys[first+i][kv+d])
		}
		scores[i] *= c.op.Float("scale")
		if softcap := b.softcap; softcap > 0 {
			scores[i] = softcap * math.Tanh(scores[i]/softcap)
		}
		if b.alibi != nil {
			scores[i] += float64(b.alibi[b.head]) * float64(first+i-position)
		}
		if b.relative != nil {
			scores[i] += float64(b.relative[ir.RelativeBuckets(c.op).Of(first+i-position)*c.int("heads")+b.head])
		}
		top = max(top, scores[i])
	}
	sum := 0.0
	if b.sinks != nil {
		sink := float64(b.sinks[b.head])
		top = max(top, sink)
		sum = math.Exp(sink - top)
	}
	for i, s := range scores {
		scores[i] = math.Exp(s - top)
		sum += scores[i]
	}
	for d := range y {
		acc := 0.0
		for i, p := range scores {
			acc += p * float64(values[first+i][kv+d])
		}
		y[d] = float32(acc / sum)
	}
}
