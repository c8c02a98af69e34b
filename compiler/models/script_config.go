package models

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"llmc/compiler/hf"
)

// scriptConfig is what a family file's config function reads config.json with: each method names the key, and what it is where it is missing.
// What is read is known; other keys that may change the arithmetic are refused afterwards, as for built-in families.
type scriptConfig struct {
	f    *hf.Fields
	read []string
	salt string // of the rotary embeddings read
}

func (c *scriptConfig) String() string        { return "config.json" }
func (c *scriptConfig) Type() string          { return "config" }
func (c *scriptConfig) Freeze()               {}
func (c *scriptConfig) Truth() starlark.Bool  { return true }
func (c *scriptConfig) Hash() (uint32, error) { return 0, fmt.Errorf("config has no hash") }

// configMethods read keys. Numbers and texts of a key may have several names, of which a checkpoint has one: "n_embd hidden_size".
var configMethods = map[string]func(c *scriptConfig, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error){
	"size": (*scriptConfig).size, "number": (*scriptConfig).number, "flag": (*scriptConfig).flag, "text": (*scriptConfig).text,
	"only": (*scriptConfig).only, "value": (*scriptConfig).value, "activation": (*scriptConfig).activation, "rope": (*scriptConfig).rope,
}

func (c *scriptConfig) AttrNames() []string { return sortedNames(configMethods) }

func (c *scriptConfig) Attr(name string) (starlark.Value, error) {
	method := configMethods[name]
	if method == nil {
		return nil, nil
	}
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		v, err := method(c, b, args, kwargs)
		if err == nil {
			err = c.f.Err()
		}
		return v, err
	}), nil
}

func sortedNames[T any](m map[string]T) []string {
	var all []string
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// key returns which of the names for a key config.json has, and counts all of them as known.
func (c *scriptConfig) key(names string) string {
	c.read = append(c.read, strings.Fields(names)...)
	return named(c.f, names)
}

// size(key, default, most=2**20) is a whole number of at least 1.
func (c *scriptConfig) size(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key string
	var def starlark.Value
	most := int64(maxWidth)
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "key", &key, "default?", &def, "most?", &most); err != nil {
		return nil, err
	}
	if key = c.key(key); def == nil {
		return starlark.MakeInt64(c.f.Int(key, 1, most)), nil
	}
	missing, err := starlark.AsInt32(def)
	if err != nil {
		return nil, fmt.Errorf("size: default of %s: %w", key, err)
	}
	return starlark.MakeInt64(c.f.IntOr(key, int64(missing), 1, most)), nil
}

// number(key, default) is any finite number.
func (c *scriptConfig) number(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key string
	var def starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "key", &key, "default?", &def); err != nil {
		return nil, err
	}
	if key = c.key(key); def == nil {
		return starlark.Float(c.f.Float(key, -math.MaxFloat64, math.MaxFloat64)), nil
	}
	missing, ok := starlark.AsFloat(def)
	if !ok {
		return nil, fmt.Errorf("number: default of %s is %s, not a number", key, def.Type())
	}
	return starlark.Float(c.f.FloatOr(key, missing, -math.MaxFloat64, math.MaxFloat64)), nil
}

// flag(key, default=False) is true or false.
func (c *scriptConfig) flag(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key string
	var def bool
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "key", &key, "default?", &def); err != nil {
		return nil, err
	}
	return starlark.Bool(c.f.BoolOr(c.key(key), def)), nil
}

// text(key, default) is a text.
func (c *scriptConfig) text(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key string
	var def starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "key", &key, "default?", &def); err != nil {
		return nil, err
	}
	if key = c.key(key); def == nil {
		return starlark.String(c.f.Text(key)), nil
	}
	missing, _ := starlark.AsString(def)
	return starlark.String(c.f.TextOr(key, missing)), nil
}

// activation(key, default) is the op that a name of transformers' activations stands for.
func (c *scriptConfig) activation(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key string
	def := "silu"
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "key", &key, "default?", &def); err != nil {
		return nil, err
	}
	var d decoder
	readAct(c.f, &d, c.key(key), def)
	return starlark.String(d.act), nil
}

// only(key, value) refuses any other value of a key; a missing one is fine.
func (c *scriptConfig) only(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key string
	var want starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "key", &key, "value", &want); err != nil {
		return nil, err
	}
	key = c.key(key)
	have, err := fromJSON(c.f.Value(key))
	if err != nil {
		return nil, err
	}
	if same, err := starlark.Equal(have, want); err != nil || have != starlark.None && !same {
		c.f.Fail(key, "%s is not supported; it must be %s", have, want)
	}
	return starlark.None, nil
}

// value(key) is what config.json says, whatever it is; None where it says nothing.
func (c *scriptConfig) value(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "key", &key); err != nil {
		return nil, err
	}
	return fromJSON(c.f.Value(c.key(key)))
}
