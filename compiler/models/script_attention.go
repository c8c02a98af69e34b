package models

import (
	"fmt"
	"slices"

	"go.starlark.net/starlark"

	"llmc/ir"
)

// cache(layers, kv_heads, dim) declares the paged cache of keys and values and returns its first state.
func (m *scriptModule) cache(c *call) (starlark.Value, error) {
	var layers, heads, dim int
	if err := c.unpack("layers", &layers, "kv_heads", &heads, "dim", &dim); err != nil {
		return nil, err
	}
	if m.step.Token != nil {
		return nil, fmt.Errorf("cache: there is one already")
	}
	if err := checkSizes("cache", layers, heads, dim); err != nil {
		return nil, err
	}
	declared := m.in.PagedCache("kv", layers, heads, dim, m.kv)
	m.step.Token = m.in.Param(declared.Name+"0", ir.Token(declared.Name))
	return m.wrapped(m.step.Token)
}

// linear(x, w, bias=None) is op linear; inputs are put in the order of columns that a checkpoint has sorted.
func (m *scriptModule) linear(c *call) (starlark.Value, error) {
	var operands [3]starlark.Value
	operands[2] = starlark.None
	if err := c.unpack("x", &operands[0], "w", &operands[1], "bias?", &operands[2]); err != nil {
		return nil, err
	}
	var args [3]*ir.Value
	for i, v := range operands {
		var err error
		if args[i], err = operand(v); err != nil {
			return nil, fmt.Errorf("linear: %w", err)
		}
	}
	if args[0] == nil || args[1] == nil {
		return nil, fmt.Errorf("linear: an operand is None")
	}
	return m.wrapped(m.in.Linear(args[0], args[1], args[2]))
}

// turn is what an op takes of a rotary embedding; the same one has the same frequencies in all layers.
func (m *scriptModule) turn(r *scriptRope) ir.Rope {
	i := slices.Index(m.turns, r)
	if i < 0 {
		i, m.turns = len(m.turns), append(m.turns, r)
	}
	name := "rope.inv_freq"
	if i > 0 {
		name = fmt.Sprintf("rope.%d.inv_freq", i)
	}
	return r.declare(m.in.Builder, name, r.dim)
}

// rope(x, rope, heads) turns the heads of x by the step's positions.
func (m *scriptModule) rope(c *call) (starlark.Value, error) {
	var x *scriptValue
	var r *scriptRope
	var heads int
	if err := c.unpack("x", &x, "rope", &r, "heads", &heads); err != nil {
		return nil, err
	}
	return m.wrapped(m.in.Rope(x.v, m.step, m.turn(r), heads, r.dim))
}

// attention(q, k, v, cache, layer, heads, kv_heads, dim, scale, rope=None, window=0, softcap=0.0, alibi=None, sinks=None) turns q and k where
// there is a rope, stores k and v, and returns what q finds and the cache's next state. Keys are stored turned unless their angles depend on
// the sequence's length.
func (m *scriptModule) attention(c *call) (starlark.Value, error) {
	var q, k, v, cache, alibi, sinks *scriptValue
	var r *scriptRope
	var a ir.Attention
	var scale, softcap starlark.Value = nil, starlark.Float(0)
	err := c.unpack("q", &q, "k", &k, "v", &v, "cache", &cache, "layer", &a.Layer, "heads", &a.Heads, "kv_heads", &a.KVHeads, "dim", &a.Dim, "scale", &scale,
		"rope??", &r, "window?", &a.Window, "softcap?", &softcap, "alibi??", &alibi, "sinks??", &sinks)
	if err != nil {
		return nil, err
	}
	var isScale, isCap bool
	a.Scale, isScale = starlark.AsFloat(scale)
	a.Softcap, isCap = starlark.AsFloat(softcap)
	if !isScale || !isCap {
		return nil, fmt.Errorf("attention: scale and softcap are numbers")
	}
	if r != nil {
		a.Rope = m.turn(r)
		q = &scriptValue{m.in.Rope(q.v, m.step, a.Rope, a.Heads, a.Dim), m}
		if a.Rope.Static() {
			k = &scriptValue{m.in.Rope(k.v, m.step, a.Rope, a.KVHeads, a.Dim), m}
		}
	}
	if alibi != nil {
		a.ALiBi = alibi.v
	}
	if sinks != nil {
		a.Sinks = sinks.v
	}
	next := m.in.KVWrite(cache.v, k.v, v.v, a.Layer)
	y := m.in.Attention(q.v, next, m.step, a)
	return starlark.Tuple{&scriptValue{y, m}, &scriptValue{next, m}}, m.in.Err()
}
