package compiler

import (
	"fmt"
	"slices"
	"strings"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/ir"
	"llmc/passes"
)

// Auto leaves the choice of a format to the checkpoint.
const Auto = "auto"

// autoQuant is what Auto means for checkpoints that are not quantized.
const autoQuant = "bf16"

// policy turns a name that --quant takes into the formats of linears, output matrix and embedding. The format is that of a target of which nothing is
// known.
func policy(name string) (passes.Policy, *quant.Format, error) {
	auto := name == "" || name == Auto
	if auto {
		name = autoQuant
	}
	f, err := quant.Find(name)
	if err != nil {
		return passes.Policy{}, nil, err
	}
	if f.Imported() {
		return passes.Policy{}, nil, fmt.Errorf("nothing is rounded to %s: codes of checkpoints stay as they are with --quant auto", f.Name)
	}
	return passes.Policy{Linear: name, KeepStored: auto}, f, nil
}

// formatOn returns what a name stands for on all targets, or the name where that differs.
func formatOn(name string, targets []engine.Target) (string, error) {
	var found []string
	for _, row := range targets {
		t, _, err := backends[row.Device](row)
		if err != nil {
			return "", err
		}
		f, err := passes.FormatFor(t, name)
		if err != nil {
			return "", err
		}
		found = append(found, f.Name)
	}
	if found = slices.Compact(found); len(found) == 1 {
		return found[0], nil
	}
	return name, nil
}

// formatsOf tells which formats all targets multiply as they are.
func formatsOf(targets []string) (func(*quant.Format) bool, error) {
	var all []passes.Target
	for _, name := range targets {
		row, err := engine.FindTarget(name)
		if err != nil {
			return nil, err
		}
		t, _, err := backends[row.Device](row)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return func(f *quant.Format) bool {
		return !slices.ContainsFunc(all, func(t passes.Target) bool {
			_, err := t.InputFormat(f)
			return err != nil
		})
	}, nil
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

// kvDType chooses the element type of the KV cache. Each target must have it. By itself, f32 keeps an f32 plan exact; else it is bf16 where any target
// multiplies that, and int16, which is nearer and which all processors multiply, where none does.
func kvDType(name string, weights *quant.Format, targets []engine.Target) (dtype.Type, error) {
	if name == "" || name == Auto {
		name = "bf16"
		switch {
		case weights.DType == dtype.F32:
			name = "f32"
		case !slices.ContainsFunc(targets, engine.Target.MultipliesBF16):
			name = "int16"
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

// checkCaches wants each target to have the kinds of cache that the model has, and refuses a format of keys and values for a model that has none.
func (b *build) checkCaches() error {
	m := b.model.Module
	for _, c := range m.Caches {
		for _, t := range b.targets {
			if !slices.Contains(engine.CacheKinds[t.Device], c.Kind) {
				return fmt.Errorf("target %s takes no %s cache, which %s models have: build for other targets", t.Name, c.Kind, m.Name)
			}
			if c.Kind != ir.Latent || t.Device != "cuda" {
				continue
			}
			if _, err := layout.NewPlainLatent(dtype.BF16, layout.MinPageSize, int(c.Rank), int(c.Dim)); err != nil {
				return fmt.Errorf("target %s: %w: build for other targets", t.Name, err)
			}
		}
		if name := b.KVDType; c.Kind == ir.State && name != "" && name != Auto && name != c.DType.String() {
			return fmt.Errorf("--kv-dtype %s: %s models cache no keys and values, but states of sequences, which are %v; leave it out", name, m.Name, c.DType)
		}
	}
	return nil
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
