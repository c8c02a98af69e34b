package compiler

import (
	"fmt"
	"slices"
	"strings"

	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/passes"
)

// Auto leaves the choice of a format to the checkpoint.
const Auto = "auto"

// autoQuant is what Auto means for checkpoints that are not quantized.
const autoQuant = "bf16"

// policy turns a name that --quant takes into the formats of linears, output matrix and embedding.
func policy(name string) (passes.Policy, *quant.Format, error) {
	if name == "" || name == Auto {
		name = autoQuant
	}
	f, err := quant.Find(name)
	if err != nil {
		return passes.Policy{}, nil, err
	}
	return passes.Policy{Linear: f.Name}, f, nil
}

// kvDTypes are the element types that a KV cache can have.
var kvDTypes = []string{"f32", "bf16"}

// CheckKVDType tells whether --kv-dtype takes a name.
func CheckKVDType(name string) error {
	if name == "" || name == Auto || slices.Contains(kvDTypes, name) {
		return nil
	}
	return fmt.Errorf("%q: the KV cache can be %s", name, strings.Join(append([]string{Auto}, kvDTypes...), ", "))
}

// kvDType chooses the element type of the KV cache: f32 keeps an f32 plan exact, bf16 is enough for all others.
func kvDType(name string, weights *quant.Format) (dtype.Type, error) {
	if err := CheckKVDType(name); err != nil {
		return 0, err
	}
	if name != "" && name != Auto {
		return dtype.Parse(name)
	}
	if weights.DType == dtype.F32 {
		return dtype.F32, nil
	}
	return dtype.BF16, nil
}
