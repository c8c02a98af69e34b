package kernel

import (
	"fmt"
	"strings"
	"unsafe"
)

// Set is the kernels of one feature set. All sets give the same bits, but for what rounding tells.
type Set struct {
	Name   string    // of the engine's target row, or "generic"
	needs  []feature // of the processor, for the instructions that the kernels use
	linear [linearKinds]linearTable
	wide   widenings
	nested func(dst, panel, nested unsafe.Pointer, groups int) // expands a panel of u4n to u8, of sets with VPDPBUSD
	// nestedSums tells that kernels of u4n want sums of the inputs' codes.
	nestedSums bool
	amx        [linearKinds]amxTable // of sets with AMX
	open       [openKinds]openFunc
	row        rowKernels
	attend     [kvKinds]attendKernels
	fold       foldKernels
	state      stateKernels
	turn       [kvKinds]turnFunc // of latent caches

	tileAttend tileAttendKernels // of sets with AMX, for a cache of bf16
	tileI8     tileI8Kernels     // of sets with AMX, which do the same faster
	rounding   rounding
}

// Generic is the plain-Go set, which runs everywhere and defines what the others compute.
const Generic = "generic"

// Sets returns every set that this build has, from the least to the most demanding.
func Sets() []*Set { return append([]*Set{genericSet()}, archSets()...) }

// Find returns the set named name if this machine can run it, else an error that names the missing features.
func Find(name string) (*Set, error) {
	var names []string
	for _, s := range Sets() {
		if s.Name == name {
			if missing := s.Missing(); len(missing) > 0 {
				return nil, fmt.Errorf("this processor lacks %s, which target %s needs", strings.Join(missing, ", "), name)
			}
			return s, nil
		}
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("no CPU kernels for target %q; there are %s", name, strings.Join(names, ", "))
}

// Detect returns the sets that this machine can run, the best last.
func Detect() []*Set {
	var usable []*Set
	for _, s := range Sets() {
		if len(s.Missing()) == 0 {
			usable = append(usable, s)
		}
	}
	return usable
}

// feature is a property of the processor, under the name that target rows use.
type feature struct {
	name    string
	present *bool
}

// Missing returns the features that the set needs and this machine lacks.
func (s *Set) Missing() []string {
	var missing []string
	for _, f := range s.needs {
		if !*f.present {
			missing = append(missing, f.name)
		}
	}
	return missing
}

func genericSet() *Set { return referenceSet(Generic, rounding{}) }

// referenceSet builds a set of the Go references alone; rules says of which sets.
func referenceSet(name string, rules rounding) *Set {
	s := &Set{Name: name, row: rowReference(rules), attend: attendReference(rules), fold: foldReference(), state: stateReference(), turn: refTurns, open: openReferences, rounding: rules}
	if rules.tiles {
		s.tileAttend = referenceTileAttend()
	}
	for digits := 1; digits <= maxDigits; digits++ {
		sums := [linearKinds]panelSum{
			kindU8:             u8Sum(digits, rules),
			kindU4Nested:       nestedSum(digits, rules),
			kindU4:             u4Rules{digits: digits}.sum,
			kindU4Scale32:      u4Rules{scale32: true, digits: digits}.sum,
			kindU4Zeros:        u4Rules{zeros: true, digits: digits}.sum,
			kindU4ZerosScale32: u4Rules{zeros: true, scale32: true, digits: digits}.sum,
			kindU4Levels:       u4Rules{levels: true, digits: digits}.sum,
			kindU4Tiered:       u4Rules{levels: true, tiered: true, digits: digits}.sum,
		}
		for name, kind := range composedKinds {
			sums[kind] = composedRules{findFormat(name), digits}.sum
		}
		for name, kind := range superKinds {
			sums[kind] = superRules{findFormat(name), digits}.sum
		}
		if digits == 1 {
			sums[kindF32], sums[kindBF16] = sumF32, rules.sum
			sums[kindBF16Groups] = rounding{flush: rules.flush}.sum
		}
		for kind, sum := range sums {
			if sum == nil {
				continue
			}
			k := &s.linear[kind][digits]
			k.tile = maxTile
			for rows := 1; rows <= maxTile; rows++ {
				k.rows[rows] = refLinear(rows, sum)
			}
		}
	}
	return s
}
