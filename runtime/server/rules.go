package server

import (
	"math"
	"slices"
	"strings"

	"llmc/runtime/server/strictjson"
)

// A rule reads the value of one field into a request, or refuses it. The caller fills in the name of the field.
type rule func(r *request, v strictjson.Value) *apiError

func wrongType(v strictjson.Value, want string) *apiError {
	return invalid("", "invalid_type", "must be %s, not %s", want, v.Kind())
}

// ignored accepts anything: fields that have no part in the result.
func ignored(*request, strictjson.Value) *apiError { return nil }

// refused accepts nothing: fields that would change the result and that this server can not honour.
func refused(why string) rule {
	return func(*request, strictjson.Value) *apiError {
		return invalid("", "unsupported_parameter", "not supported: %s", why)
	}
}

// only accepts the JSON texts that ask for what is done anyway.
func only(why string, texts ...string) rule {
	return func(_ *request, v strictjson.Value) *apiError {
		if slices.Contains(texts, string(v)) {
			return nil
		}
		return invalid("", "unsupported_value", "only %s is supported: %s", strings.Join(texts, " or "), why)
	}
}

func flag(to func(*request) *bool) rule {
	return func(r *request, v strictjson.Value) *apiError {
		b, ok := v.Bool()
		if !ok {
			return wrongType(v, "a boolean")
		}
		*to(r) = b
		return nil
	}
}

// integer accepts whole numbers from least to most.
func integer[T int | int32 | int64](to func(*request) *T, least, most int64) rule {
	return func(r *request, v strictjson.Value) *apiError {
		i, ok := v.Int()
		if !ok && v.Kind() != "number" {
			return wrongType(v, "an integer")
		}
		if !ok || i < least || i > most {
			return invalid("", "invalid_value", "must be an integer from %d to %d", least, most)
		}
		*to(r) = T(i)
		return nil
	}
}

// number accepts numbers from least to most.
func number(to func(*request) *float32, least, most float64) rule {
	return func(r *request, v strictjson.Value) *apiError {
		f, ok := v.Float()
		if !ok {
			return wrongType(v, "a number")
		}
		if f < least || f > most {
			return invalid("", "invalid_value", "must be from %g to %g", least, most)
		}
		*to(r) = float32(f)
		return nil
	}
}

// positive accepts numbers above 0; where 0 would mean "off" to the sampler it must not slip through as such, nor by rounding.
func positive(to func(*request) *float32, most float64) rule {
	return func(r *request, v strictjson.Value) *apiError {
		f, ok := v.Float()
		if !ok {
			return wrongType(v, "a number")
		}
		if f <= 0 || f > most {
			return invalid("", "invalid_value", "must be above 0 and at most %g", most)
		}
		*to(r) = max(float32(f), math.SmallestNonzeroFloat32)
		return nil
	}
}

// words accepts a string of at most so many bytes.
func words(to func(*request) *string, most int) rule {
	return func(r *request, v strictjson.Value) *apiError {
		s, ok := v.Text()
		if !ok {
			return wrongType(v, "a string")
		}
		if len(s) > most {
			return invalid("", "string_above_max_length", "must be at most %d bytes", most)
		}
		*to(r) = s
		return nil
	}
}

// tokenIDs accepts an array of at most so many ids of the vocabulary.
func tokenIDs(to func(*request) *[]int32, most int) rule {
	return func(r *request, v strictjson.Value) *apiError {
		elements, ok := v.Array()
		if !ok {
			return wrongType(v, "an array of token ids")
		}
		if len(elements) > most {
			return invalid("", "array_above_max_length", "must have at most %d elements", most)
		}
		ids, err := readTokenIDs(elements, r.model.Info.Vocab)
		*to(r) = ids
		return err
	}
}

func readTokenIDs(elements []strictjson.Value, vocab int) ([]int32, *apiError) {
	ids := make([]int32, len(elements))
	for i, e := range elements {
		id, ok := e.Int()
		if !ok && e.Kind() != "number" {
			return nil, wrongType(e, "a token id")
		}
		if !ok || id < 0 || id >= int64(vocab) {
			return nil, invalid("", "invalid_value", "element %d: %.32s is not a token id, they go from 0 to %d", i, e, vocab-1)
		}
		ids[i] = int32(id)
	}
	return ids, nil
}

// rawArray accepts an array to be handed on as it is; an empty one is as if absent.
func rawArray(to func(*request) *[]byte, most int) rule {
	return func(r *request, v strictjson.Value) *apiError {
		elements, ok := v.Array()
		if !ok {
			return wrongType(v, "an array")
		}
		if len(elements) > most {
			return invalid("", "array_above_max_length", "must have at most %d elements", most)
		}
		if len(elements) > 0 {
			*to(r) = v
		}
		return nil
	}
}
