package compiler

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"llmc/compiler/hf"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/passes"
)

// Auto leaves the choice of a format to the checkpoint.
const Auto = "auto"

// autoQuant is what Auto means for checkpoints that are not quantized, exactQuant what for others: it holds whatever number a code stands for.
const (
	autoQuant  = "bf16"
	exactQuant = "f32"
)

// policy turns a name that --quant takes into the formats of linears, output matrix and embedding.
func policy(name string, c *hf.Checkpoint) (passes.Policy, *quant.Format, error) {
	if name == "" || name == Auto {
		name = autoQuant
		if len(c.CodedTypes()) > 0 {
			name = exactQuant
		}
	}
	f, err := quant.Find(name)
	if err != nil {
		return passes.Policy{}, nil, err
	}
	return passes.Policy{Linear: f.Name}, f, nil
}

// stored says what becomes of the codes of a quantized checkpoint, "" for other checkpoints.
func (b *build) stored() string {
	count := b.checkpoint.CodedTypes()
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%s x%d", name, count[name]))
	}
	switch {
	case len(parts) == 0:
		return ""
	case b.format.Name == exactQuant:
		return strings.Join(parts, ", ") + ": dequantized, exactly"
	}
	return strings.Join(parts, ", ") + ": dequantized and rounded to " + b.format.Name + ", as asked for"
}

// KVDTypes lists what --kv-dtype takes.
func KVDTypes() []string {
	names := []string{Auto}
	for _, f := range quant.KVFormats {
		names = append(names, f.Name)
	}
	return names
}

// CheckKVDType tells whether --kv-dtype takes a name.
func CheckKVDType(name string) error {
	if name == "" || slices.Contains(KVDTypes(), name) {
		return nil
	}
	return fmt.Errorf("%q: the KV cache can be %s", name, strings.Join(KVDTypes(), ", "))
}

// kvDType chooses the element type of the KV cache: f32 keeps an f32 plan exact, bf16 is enough for all others. Each target must have it.
func kvDType(name string, weights *quant.Format, targets []engine.Target) (dtype.Type, error) {
	if name == "" || name == Auto {
		name = "bf16"
		if weights.DType == dtype.F32 {
			name = "f32"
		}
	}
	f, err := quant.FindKV(name)
	if err != nil {
		return 0, err
	}
	for _, t := range targets {
		if !slices.Contains(engine.CacheTypes[t.Device], f.DType) {
			return 0, fmt.Errorf("target %s takes no KV cache of %s: give --kv-dtype one of %s, or build for other targets", t.Name, name, kvNames(t.Device))
		}
	}
	return f.DType, nil
}

// kvNames lists the formats of a KV cache that a device has.
func kvNames(device string) string {
	var names []string
	for _, f := range quant.KVFormats {
		if slices.Contains(engine.CacheTypes[device], f.DType) {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, ", ")
}
