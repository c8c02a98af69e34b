package models

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
)

// scriptRope is a rotary embedding that a family file has read. Its one attribute is max_context: the positions that it is made for.
type scriptRope struct {
	*rope
	dim int // channels of a head
}

func (r *scriptRope) String() string        { return "rope of type " + r.kind }
func (r *scriptRope) Type() string          { return "rope" }
func (r *scriptRope) Freeze()               {}
func (r *scriptRope) Truth() starlark.Bool  { return true }
func (r *scriptRope) Hash() (uint32, error) { return 0, fmt.Errorf("rope has no hash") }
func (r *scriptRope) AttrNames() []string   { return []string{"max_context"} }

func (r *scriptRope) Attr(name string) (starlark.Value, error) {
	if name != "max_context" {
		return nil, nil
	}
	return starlark.MakeInt64(r.maxContext), nil
}

// rope(dim, max_context, style="half", base=10000.0, base_key="rope_theta", partial=1.0, partial_key="") reads the rotary embedding of heads of
// dim channels, with whatever rope_scaling or rope_parameters say: all types that built-in families know.
func (c *scriptConfig) rope(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var dim, maxContext int
	family := rotary{base: 10000, partial: 1}
	var base, partial starlark.Value
	err := starlark.UnpackArgs(b.Name(), args, kwargs, "dim", &dim, "max_context", &maxContext, "style?", &family.style, "base?", &base,
		"base_key?", &family.baseKey, "partial?", &partial, "partial_key?", &family.partialKey)
	if err != nil {
		return nil, err
	}
	for _, number := range []struct {
		from starlark.Value
		to   *float64
	}{{base, &family.base}, {partial, &family.partial}} {
		if number.from == nil {
			continue
		}
		var ok bool
		if *number.to, ok = starlark.AsFloat(number.from); !ok {
			return nil, fmt.Errorf("rope: %s is not a number", number.from)
		}
	}
	if dim < 2 || dim%2 != 0 || dim > maxWidth {
		return nil, fmt.Errorf("rope: %d channels; pairs of them turn", dim)
	}
	width := family.width(c.f, dim)
	c.read = append(c.read, "rope_scaling", "rope_parameters", "original_max_position_embeddings", "rope_theta")
	c.read = append(c.read, strings.Fields(family.baseKey+" "+family.partialKey)...)
	r := readRope(c.f, family, width, int64(maxContext))
	if c.f.Err() != nil {
		return nil, c.f.Err()
	}
	if len(r.invFreq) == 0 {
		return nil, fmt.Errorf("rope: %d channels turn", width)
	}
	if c.salt == "" {
		c.salt = r.salt()
	}
	return &scriptRope{r, dim}, nil
}
