package models

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"llmc/compiler/hf"
	"llmc/ir"
)

// rope is a rotary embedding as a checkpoint describes it. Frequencies are computed in f32, step by step as transformers'
// modeling_rope_utils does, because models are trained with those very numbers; products are rounded by conversions, so that no host fuses them.
type rope struct {
	kind         string // a name of ropeTypes
	style        string // which channels turn together; see op rope
	dim          int    // channels of a head that turn, the first ones
	base         float64
	invFreq      [][]float32 // [1 or 2][dim/2]; longrope: short, long
	factor       float64     // of sine and cosine
	scaling      float64     // "factor" of config.json
	originalMax  int64
	maxPositions int64
	maxContext   int64
}

// Bounds of numbers of positions, and of the base of frequencies (whose logarithm is divided by).
const (
	maxPositions = 1 << 30
	minBase      = 1.001
	maxBase      = 1e15
)

// ropeParams are the numbers that a type computes with.
type ropeParams struct {
	f                         *hf.Fields // of the scaling object; for types that need more
	dim                       int
	base                      float64
	maxPositions, originalMax int64
}

// ropeType is one value of rope_type (once: type). compute completes a rope whose kind, base and positions are set.
type ropeType struct {
	name    string
	compute func(r *rope, p *ropeParams)
}

var ropeTypes = []ropeType{
	{"default", ropeDefault},
	{"linear", ropeLinear},
	{"dynamic", ropeDynamic},
	{"yarn", ropeYarn},
	{"llama3", ropeLlama3},
	{"longrope", ropeLong},
	{"divided", ropeDivided},
}

// ropeKeys are the keys of the scaling object, of whatever type.
var ropeKeys = []string{
	"rope_type", "type", "rope_theta", "factor", "original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow", "mscale",
	"mscale_all_dim", "truncate", "low_freq_factor", "high_freq_factor", "short_factor", "long_factor", "finetuned", "divisors",
}

// rotary says what a family's rotary embedding is like where config.json does not. Keys are those that config.json may have, by any of the names
// in one text.
type rotary struct {
	style   string // see op rope; "" is half
	base    float64
	baseKey string
	// partial is the part of a head's channels that turn, partialKey where config.json says which; "": all.
	partial    float64
	partialKey string
	// channels is how many of them turn, widthKey where config.json says that; "": partialKey does.
	channels    int64
	widthKey    string
	originalMax int64             // of longrope and yarn, where the key is missing; 0: as long as the context
	oldTypes    map[string]string // what the family's first checkpoints called a type
	perType     string            // layers that it is for, where rope_parameters hold an object for each type of layer
	alone       bool              // without such an object there is none: others are for other layers
}

// width returns how many of dim channels turn. rope_parameters of transformers 5 hold the part too.
func (r *rotary) width(f *hf.Fields, dim int) int {
	if r.widthKey != "" {
		n := int(f.IntOr(r.widthKey, r.channels, 2, int64(dim)))
		if n%2 != 0 {
			f.Fail(r.widthKey, "%d is odd; the rotary embedding turns pairs of channels", n)
		}
		return n
	}
	part := cmp.Or(r.partial, 1)
	if r.partialKey != "" {
		part = f.FloatOr(named(f, r.partialKey), r.partial, 0, 1)
		if o := f.Object("rope_parameters"); o != nil {
			part = o.FloatOr("partial_rotary_factor", part, 0, 1)
		}
	}
	n := int(float64(dim) * part)
	if n < 2 || n%2 != 0 {
		f.Fail(cmp.Or(named(f, r.partialKey), "head_dim"), "%g of %d channels of a head turn, which is not an even number", part, dim)
	}
	return n
}

// readRope reads rope_parameters (transformers 5) or rope_scaling and rope_theta (before). As in transformers, rope_scaling is
// preferred, rope_theta beside it is used where it has none inside, and an original length beside it overrides one inside.
func readRope(f *hf.Fields, family rotary, dim int, maxPos int64) *rope {
	key := "rope_parameters"
	if !inert(f.Value("rope_scaling")) {
		key = "rope_scaling"
	}
	if family.baseKey == "" {
		family.baseKey = "rope_theta"
	}
	if family.base == 0 {
		family.base = 10000
	}
	base := f.FloatOr(named(f, family.baseKey), family.base, minBase, maxBase)
	o := f.Object(key)
	if o != nil && family.perType != "" && o.Has(family.perType) {
		o = o.Object(family.perType)
	} else if family.alone {
		o = nil
	}
	return readRopeObject(f, o, family, base, dim, maxPos)
}

// readRopeObject reads a rotary embedding of dim channels from the object o of f, nil where there is none.
func readRopeObject(f, o *hf.Fields, family rotary, base float64, dim int, maxPos int64) *rope {
	first := cmp.Or(family.originalMax, maxPos)
	r := &rope{kind: "default", style: family.style, dim: dim, factor: 1, maxPositions: maxPos, maxContext: maxPos}
	p := &ropeParams{f: f, dim: dim, base: base, maxPositions: maxPos, originalMax: first}
	if o != nil {
		p.f = o
		checkRopeKeys(o, family.partialKey != "")
		p.base = o.FloatOr("rope_theta", p.base, minBase, maxBase)
		r.kind = o.TextOr("rope_type", o.TextOr("type", "default"))
		if kind := family.oldTypes[r.kind]; kind != "" {
			r.kind = kind
		}
		p.originalMax = o.IntOr("original_max_position_embeddings", first, 1, maxPositions)
	}
	p.originalMax = f.IntOr("original_max_position_embeddings", p.originalMax, 1, maxPositions)
	r.base, r.originalMax = p.base, p.originalMax
	if f.Err() != nil || dim < 2 {
		return r
	}
	i := slices.IndexFunc(ropeTypes, func(t ropeType) bool { return t.name == r.kind })
	if i < 0 {
		p.f.Fail("rope_type", "%q is not supported; supported are %s", r.kind, ropeNames())
		return r
	}
	ropeTypes[i].compute(r, p)
	return r
}

func ropeNames() string {
	var names []string
	for _, t := range ropeTypes {
		names = append(names, t.name)
	}
	return strings.Join(names, ", ")
}

// checkRopeKeys refuses keys that may change the frequencies. partial tells that not all channels need turn.
func checkRopeKeys(o *hf.Fields, partial bool) {
	for _, key := range o.Keys() {
		value := o.Value(key)
		switch {
		case inert(value) || slices.Contains(ropeKeys, key):
		case key == "partial_rotary_factor" && (partial || equalJSON(value, 1.0)):
		default:
			o.Fail(key, "is not a known key of rotary embeddings%s and may change what the model computes", near(key, ropeKeys))
		}
	}
}

// frequencies returns base^(-2i/dim).
func (p *ropeParams) frequencies() []float32 {
	freq := p.wavelengths(p.base)
	for i, w := range freq {
		freq[i] = 1 / w
	}
	return freq
}

// wavelengths returns base^(2i/dim), the wavelengths over 2 pi.
func (p *ropeParams) wavelengths(base float64) []float32 {
	w := make([]float32, p.dim/2)
	for i := range w {
		exponent := float32(2*i) / float32(p.dim)
		w[i] = float32(math.Pow(float64(float32(base)), float64(exponent)))
	}
	return w
}

func (p *ropeParams) scaling() float64 { return p.f.Float("factor", 1e-3, 1e6) }

// ratio is the factor, or where it is missing how much longer the context has become.
func (p *ropeParams) ratio() float64 {
	return p.f.FloatOr("factor", float64(p.maxPositions)/float64(p.originalMax), 1e-3, 1e6)
}

func ropeDefault(r *rope, p *ropeParams) { r.invFreq = [][]float32{p.frequencies()} }

func ropeLinear(r *rope, p *ropeParams) {
	factor, freq := float32(p.scaling()), p.frequencies()
	for i := range freq {
		freq[i] /= factor
	}
	r.invFreq = [][]float32{freq}
}

// ropeDynamic (NTK-aware): beyond maxPositions the base grows with the length, which the op computes.
func ropeDynamic(r *rope, p *ropeParams) {
	r.scaling = p.scaling()
	if p.dim < 4 {
		p.f.Fail("rope_type", "dynamic needs heads of at least 4 channels")
	}
	r.invFreq = [][]float32{p.frequencies()}
	r.maxContext = int64(min(float64(p.maxPositions)*r.scaling, maxPositions))
}

// ropeLlama3 divides long wavelengths by the factor, leaves short ones, and goes from one to the other between (Llama 3.1).
func ropeLlama3(r *rope, p *ropeParams) {
	factor := float32(p.scaling())
	low, high := p.f.Float("low_freq_factor", 1e-6, 1e6), p.f.Float("high_freq_factor", 1e-6, 1e6)
	if high <= low {
		p.f.Fail("high_freq_factor", "%g is not above low_freq_factor %g", high, low)
		return
	}
	old, freq := float64(p.originalMax), p.frequencies()
	for i, f := range freq {
		wavelength := float32(2*math.Pi) / f
		switch {
		case wavelength > float32(old/low):
			freq[i] = f / factor
		case wavelength >= float32(old/high):
			smooth := (float32(old)/wavelength - float32(low)) / float32(high-low)
			freq[i] = float32((1-smooth)*f/factor) + float32(smooth*f)
		}
	}
	r.invFreq = [][]float32{freq}
}

// ropeDivided has a divisor for each frequency, which some other program computed from a checkpoint's settings (GGUF: of type llama3).
func ropeDivided(r *rope, p *ropeParams) {
	divisors, freq := p.f.Floats("divisors", 1e-6, 1e6), p.frequencies()
	if len(divisors) != len(freq) {
		p.f.Fail("divisors", "has %d numbers instead of %d, half the channels of a head", len(divisors), len(freq))
		return
	}
	for i, d := range divisors {
		freq[i] /= float32(d)
	}
	r.invFreq = [][]float32{freq}
}

// ropeLong (LongRoPE) has a divisor for each frequency, other ones for sequences beyond the original length.
func ropeLong(r *rope, p *ropeParams) {
	for _, key := range []string{"short_factor", "long_factor"} {
		factors := p.f.Floats(key, 1e-6, 1e6)
		if len(factors) != p.dim/2 {
			p.f.Fail(key, "has %d numbers instead of %d, half the channels of a head", len(factors), p.dim/2)
			return
		}
		freq := p.wavelengths(p.base)
		for i, w := range freq {
			freq[i] = 1 / (float32(factors[i]) * w)
		}
		r.invFreq = append(r.invFreq, freq)
	}
	factor := 1.0
	if ratio := p.ratio(); ratio > 1 && p.originalMax > 1 {
		factor = math.Sqrt(1 + math.Log(ratio)/math.Log(float64(p.originalMax)))
	}
	r.factor = p.f.FloatOr("attention_factor", factor, 1e-6, 1e6)
}

// declare adds the frequencies to the module, under a name of their own, and returns what ops that turn heads of dim channels are told.
func (r *rope) declare(b *ir.Builder, name string, dim int) ir.Rope {
	half := len(r.invFreq[0])
	op := ir.Rope{
		InvFreq: b.Constant(name, slices.Concat(r.invFreq...), len(r.invFreq), half),
		Factor:  r.factor, Style: r.style,
	}
	if r.dim < dim {
		op.RotaryDim = r.dim
	}
	switch r.kind {
	case "longrope":
		op.Mode, op.OriginalMax = r.kind, int(r.originalMax)
	case "dynamic":
		op.Mode, op.MaxPositions, op.Base, op.DynamicFactor = r.kind, int(r.maxPositions), r.base, r.scaling
	}
	return op
}

// salt says what besides tokens decides a cached key: sequences of other lengths have other frequencies.
func (r *rope) salt() string {
	if r == nil {
		return ""
	}
	switch r.kind {
	case "longrope":
		return fmt.Sprintf("longrope:%d", r.originalMax)
	case "dynamic":
		return fmt.Sprintf("dynamic:%d", r.maxPositions)
	}
	return ""
}
