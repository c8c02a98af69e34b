package models

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"llmc/compiler/hf"
)

// fromJSON turns a value of config.json into one of a family file.
func fromJSON(v any) (starlark.Value, error) {
	switch v := v.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return starlark.Bool(v), nil
	case string:
		return starlark.String(v), nil
	case json.Number:
		return numberOf(v)
	case []any:
		list := make([]starlark.Value, len(v))
		for i := range v {
			var err error
			if list[i], err = fromJSON(v[i]); err != nil {
				return nil, err
			}
		}
		return starlark.NewList(list), nil
	case *hf.Object:
		dict := starlark.NewDict(len(v.Keys()))
		for _, key := range v.Keys() {
			value, err := fromJSON(v.Value(key))
			if err == nil {
				err = dict.SetKey(starlark.String(key), value)
			}
			if err != nil {
				return nil, err
			}
		}
		return dict, nil
	}
	return nil, fmt.Errorf("a value of type %T", v)
}

func numberOf(n json.Number) (starlark.Value, error) {
	if !strings.ContainsAny(n.String(), ".eE") {
		if i, err := n.Int64(); err == nil {
			return starlark.MakeInt64(i), nil
		}
	}
	x, err := n.Float64()
	return starlark.Float(x), err
}
