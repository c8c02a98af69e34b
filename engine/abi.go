package engine

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Kernel is one row of the table of launchable kernels: what a launch of it must look like. The table is the contract
// between code generation, which emits launches, and devices, which run them. Validation at load is driven by it: a launch that passes
// gives its kernel operands of the types and sizes that the row states, so kernels do not check them again.
type Kernel struct {
	Name string
	Doc  string
	// Roles are in the order of Launch.Operands; results after arguments. Plans of the past must stay valid, so a role that is
	// added later is optional and comes last: a launch without it is one where it is absent.
	Roles []Role
	Attrs []AttrRow
	// Where are relations between sizes and attributes, each "A op B" with op one of =, <, <=, divides.
	Where []string
	// Check tests what Where can not express; nil for most.
	Check func(*Bound) error
}

// Role is one operand of a kernel.
type Role struct {
	Name     string // for inputs, the name in Inputs
	Kind     OperandKind
	Optional bool // the operand may be OperandNone
	Writes   bool
	Scratch  bool   // a buffer that holds nothing before and after the launch; whoever writes the launch's code places it
	packed   bool   // a weight in a layout of engine/layout; otherwise weights are row-major
	kind     string // of a cache
	// Types accepted: for buffers an element type or activation format; for weights a packed layout, a family of layouts
	// ("u4*"), or an element type.
	Types []string
	// Dims is the shape: names, numbers, and sums of products such as heads*dim+2*kv_heads*dim. A name not yet known is
	// bound by its first use, afterwards it must agree. Rows of buffers have names of their own; T and R are the step's.
	Dims []string
}

// AttrKind tells which value of an Attr is meant.
type AttrKind uint8

// Kinds of attributes.
const (
	AttrInt AttrKind = iota
	AttrFloat
	AttrText
)

// AttrRow is one attribute of a kernel.
type AttrRow struct {
	Name     string
	Kind     AttrKind
	Optional bool     // integers are 0 when absent
	Min, Max float64  // of numbers, inclusive
	Values   []string // of texts
}

// Kernels lists every launchable kernel, device by device. A kernel's name begins with its device and a dot.
var Kernels = slices.Concat(
	cpuKernels, rowKernels("cpu", gateAttrs...), activationKernels("cpu"), cpuExperts, cpuLatent, stateKernels("cpu"), routeKernels("cpu"),
	cudaKernels, cudaCards, cudaTexts, cudaExperts, cudaLatent, cudaStates, routeKernels("cuda"), rowKernels("cuda", gateAttrs...), activationKernels("cuda"), sampleKernels,
)

// FindKernel returns the row of a kernel, nil when there is none.
func FindKernel(name string) *Kernel {
	for i := range Kernels {
		if Kernels[i].Name == name {
			return &Kernels[i]
		}
	}
	return nil
}

// Device returns the name of the device that has the kernel.
func (k *Kernel) Device() string {
	device, _, _ := strings.Cut(k.Name, ".")
	return device
}

// Operand returns the operand in the role, one of OperandNone when it is absent or there is no such role.
func (k *Kernel) Operand(l *Launch, role string) Operand {
	for i := range k.Roles {
		if k.Roles[i].Name == role && i < len(l.Operands) {
			return l.Operands[i]
		}
	}
	return Operand{}
}

// Packed tells whether the operand is a weight in a layout of engine/layout.
func (r *Role) Packed() bool { return r.packed }

// Constructors of rows. types and dims are separated by spaces.

func arg(name, types, dims string) Role {
	return Role{Name: name, Kind: OperandBuffer, Types: strings.Fields(types), Dims: strings.Fields(dims)}
}

func result(name, types, dims string) Role {
	r := arg(name, types, dims)
	r.Writes = true
	return r
}

// scratch is memory for the launch alone.
func scratch(name, types, dims string) Role {
	r := arg(name, types, dims)
	r.Scratch = true
	return r
}

// vector is a row-major weight, of any number of dimensions.
func vector(name, types, dims string) Role {
	r := arg(name, types, dims)
	r.Kind = OperandWeight
	return r
}

// matrix is a packed weight.
func matrix(name, types, dims string) Role {
	r := vector(name, types, dims)
	r.packed = true
	return r
}

// input is a step array; rows names its length, "" one that no form of the step's sizes gives.
func input(name, rows string) Role {
	return Role{Name: name, Kind: OperandInput, Dims: strings.Fields(rows)}
}

// cache binds layers, kv_heads and dim to those of the cache.
func cache(name, types string, writes bool) Role {
	return Role{Name: name, Kind: OperandCache, kind: Paged, Types: strings.Fields(types), Writes: writes}
}

// latentCache is a cache of latent rows of dim channels, rank of them values; it binds these too.
func latentCache(name, types string, writes bool) Role {
	r := cache(name, types, writes)
	r.kind = Latent
	return r
}

// stateCache is a cache of states of kv_heads rows of dim channels, of which the first rank are earlier inputs; it binds these too. Who takes it moves
// states on.
func stateCache(name string) Role {
	r := cache(name, "f32", true)
	r.kind = State
	return r
}

func optional(r Role) Role {
	r.Optional = true
	return r
}

func intAttr(name string, lo, hi int64) AttrRow {
	return AttrRow{Name: name, Kind: AttrInt, Min: float64(lo), Max: float64(hi)}
}

func floatAttr(name string, lo, hi float64) AttrRow {
	return AttrRow{Name: name, Kind: AttrFloat, Min: lo, Max: hi}
}

func textAttr(name string, values ...string) AttrRow {
	return AttrRow{Name: name, Kind: AttrText, Values: values}
}

func optionalAttr(a AttrRow) AttrRow {
	a.Optional = true
	return a
}

// check tests one attribute of a launch against its row.
func (row *AttrRow) check(a *Attr) error {
	if row.Kind != AttrInt && a.Int != 0 || row.Kind != AttrFloat && a.Float != 0 || row.Kind != AttrText && a.Text != "" {
		return fmt.Errorf("attribute %s has a value of another kind", a.Name)
	}
	if row.Kind == AttrText {
		if !slices.Contains(row.Values, a.Text) {
			return fmt.Errorf("attribute %s is %q; known are %s", a.Name, a.Text, strings.Join(row.Values, ", "))
		}
		return nil
	}
	value := a.Float
	if row.Kind == AttrInt {
		value = float64(a.Int)
	}
	if math.IsNaN(value) || value < row.Min || value > row.Max {
		return fmt.Errorf("attribute %s is %v, outside %v to %v", a.Name, value, row.Min, row.Max)
	}
	return nil
}
