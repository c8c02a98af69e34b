package compiler

import (
	"reflect"
	"slices"
	"testing"

	"llmc/compiler/buildcache"
	"llmc/internal/cubin"
	"llmc/passes"
)

// keyedFields are the options that name a plan, beside what is read, each with another value than none.
var keyedFields = map[string]func(b *build){
	"Archs":         func(b *build) { b.Archs = []string{"x86-64-v4"} },
	"NoFallback":    func(b *build) { b.Archs, b.NoFallback = []string{"sm90"}, true },
	"Cubin":         func(b *build) { b.Cubin = true },
	"PTXAS":         func(b *build) { b.assemblers = []cubin.Assembler{{Build: "12.2.140"}} },
	"Quant":         func(b *build) { b.Quant = "int8" },
	"Rotation":      func(b *build) { b.Rotation = passes.RotateNone },
	"Override":      func(b *build) { b.Override = []passes.Override{{Pattern: "*", Format: "int8"}} },
	"Budget":        func(b *build) { b.Budget = Budget{Bits: 5} },
	"KVDType":       func(b *build) { b.KVDType = "int8" },
	"Requantize":    func(b *build) { b.Requantize = true },
	"IgnoreKeys":    func(b *build) { b.IgnoreKeys = []string{"x"} },
	"IgnoreTensors": func(b *build) { b.IgnoreTensors = []string{"x"} },
	"Calibration":   func(b *build) { b.Calibration = &Calibration{Text: "x"} },
	"Repo":          func(b *build) { b.Repo = "x" },
	"Commit":        func(b *build) { b.Commit = "x" },
	"LoraRank":      func(b *build) { b.LoraRank = 8 },
	"Cards":         func(b *build) { b.Cards = []int{2} },
	"Disabled":      func(b *build) { b.Disabled = []string{"fold"} },
}

// Options that are what is read, whose contents are in the key, and those that no byte of a plan depends on.
var (
	sourceFields = []string{"Model", "Random", "Family", "read", "Lora"}
	otherFields  = []string{"Out", "Gate", "calibrated", "smooth", "Check", "Dump", "DumpTo", "Trace", "Cache", "sums", "Threads", "Progress"}
)

// TestKeyHasOptions wants every option to be in one of the lists, and another value of each that names a plan to name another one.
func TestKeyHasOptions(t *testing.T) {
	key := func(change func(b *build)) string {
		b := &build{Options: &Options{}}
		change(b)
		if b.Archs != nil {
			var err error
			if b.targets, err = b.resolve(); err != nil {
				t.Fatal(err)
			}
		}
		k, err := buildcache.Key(b.keyed())
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	seen := map[string]string{key(func(*build) {}): "none"}
	seen[key(func(b *build) { b.Archs = []string{"sm90"} })] = "a fallback"
	for field := range reflect.TypeFor[Options]().Fields() {
		change := keyedFields[field.Name]
		if change == nil {
			if !slices.Contains(sourceFields, field.Name) && !slices.Contains(otherFields, field.Name) {
				t.Errorf("option %s: does it name a plan? Add it to keyedOptions or to otherFields", field.Name)
			}
			continue
		}
		k := key(change)
		if was, there := seen[k]; there {
			t.Errorf("another %s has the key of %s", field.Name, was)
		}
		seen[k] = field.Name
	}
}
