package gguf

import "fmt"

// heads are the sizes by which converters reorder rows.
type heads struct{ count, kv, dim int64 }

// rowOrder returns where the file has row r of transformers' tensor of rows rows, or an error where these are no such heads.
type rowOrder func(h heads, rows int64) (func(r int64) int64, error)

// inPairs: rotary embeddings turn channel i of a head together with channel i+dim/2 in transformers, with the next one in llama.cpp, whose converter therefore writes the two
// halves of a head in turn.
func inPairs(h heads, rows int64) (func(r int64) int64, error) {
	if h.dim < 2 || h.dim%2 != 0 || rows%h.dim != 0 {
		return nil, fmt.Errorf("has %d rows, which are no heads of %d channels", rows, h.dim)
	}
	return func(r int64) int64 {
		i := r % h.dim
		return r - i + i%(h.dim/2)*2 + i/(h.dim/2)
	}, nil
}

// grouped: transformers has for each key its queries, the key and its value; the file has all queries, then all keys, then all values.
func grouped(h heads, rows int64) (func(r int64) int64, error) {
	if h.kv < 1 || h.count%h.kv != 0 || rows != (h.count+2*h.kv)*h.dim {
		return nil, fmt.Errorf("has %d rows, which are no %d queries and %d keys and values of %d channels", rows, h.count, h.kv, h.dim)
	}
	queries := h.count / h.kv * h.dim // of a group
	return func(r int64) int64 {
		group, i := r/(queries+2*h.dim), r%(queries+2*h.dim)
		switch {
		case i < queries:
			return group*queries + i
		case i < queries+h.dim:
			return h.count*h.dim + group*h.dim + i - queries
		}
		return (h.count+h.kv)*h.dim + group*h.dim + i - queries - h.dim
	}, nil
}
