package compiler

import (
	"fmt"

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

// kvDType chooses the element type of the KV cache: f32 keeps an f32 plan exact, bf16 is enough for all others.
func kvDType(name string, weights *quant.Format) (dtype.Type, error) {
	switch name {
	case "", Auto:
		if weights.DType == dtype.F32 {
			return dtype.F32, nil
		}
		return dtype.BF16, nil
	case "f32", "bf16":
		return dtype.Parse(name)
	}
	return 0, fmt.Errorf("--kv-dtype %q: the KV cache can be f32 or bf16", name)
}
