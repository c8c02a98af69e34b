package layout

import "fmt"

// EntryBytes is the size of one Entry in memory.
const EntryBytes = 16

// Entry is what a kernel needs to know of a part of a quantized activation row: a group (q8g) or a segment (q8t).
type Entry struct {
	Scale  float32 // value = code * Scale; q8t repeats the row's scale in each entry
	Bias   int32   // -zero * sum of the codes, zero being 8 (q8g) or 128 (q8t): where the accumulators start
	NegSum int32   // -sum of the codes, for zero points; q8g only, where it fits 16 bits
	_      uint32
}

// ActivationFormat is one form of the input of a linear.
type ActivationFormat struct {
	Name         string
	ElementBytes int
	Digits       int   // 2: the row is a row of q8 and one of what it leaves over; see Digit
	Zero         int32 // of the weights that it meets: Entry.Bias = -Zero * sum; 0: no entries
}

// ActivationFormats lists every form.
//
//	f32   [K] f32, not padded
//	bf16  [Kp] bf16
//	q8t   [Kp] i8 in [-127, 127], then one Entry per segment; one scale per row
//	q8g   [Kp] i8 in [-127, 127], then one Entry per group
//	q16t, q16g   a row of q8t or q8g, padded to 64 bytes, then another of what the first leaves over, its scales 1/254 of the first's
//
// Integer weights are multiplied with q16: 8 bits for an input lose more of a model than 8 bits for a weight do, because inputs have
// outliers, and a product with the second digit costs a step that waits for memory nothing.
//
// Kp is K rounded up to 64, padding is zero.
var ActivationFormats = []ActivationFormat{
	{"f32", 4, 1, 0},
	{"bf16", 2, 1, 0},
	{"q8t", 1, 1, u8Zero},
	{"q8g", 1, 1, u4Zero},
	{"q16t", 1, 2, u8Zero},
	{"q16g", 1, 2, u4Zero},
}

// Activation describes the rows of a linear's input.
type Activation struct {
	*ActivationFormat
	K     int
	Group int // k per Entry: the weight's group (q8g) or segment (q8t)
}

// NewActivation describes rows of k elements in format; group is the k per entry of quantized formats.
func NewActivation(format string, k, group int) (Activation, error) {
	if k < 1 || k > maxK {
		return Activation{}, fmt.Errorf("activation of %d: must be within 1..%d", k, maxK)
	}
	for i := range ActivationFormats {
		f := &ActivationFormats[i]
		if f.Name != format {
			continue
		}
		if f.Zero == 0 {
			group = 0
		} else if group < 1 || group%groupUnit != 0 || group > maxDotK && k > maxDotK {
			return Activation{}, fmt.Errorf("activation %s: group of %d must be a multiple of %d up to %d", format, group, groupUnit, maxDotK)
		}
		return Activation{f, k, group}, nil
	}
	return Activation{}, fmt.Errorf("unknown activation format %q", format)
}

// Input describes the activation that the weight is multiplied with.
func (l Linear) Input() Activation {
	group := l.Group
	if group == 0 {
		group = l.Segment
	}
	a, err := NewActivation(l.Activation, l.K, group)
	if err != nil {
		panic("layout: " + err.Error()) // a Linear made by New always has an input
	}
	return a
}

// KPad returns the elements of a row that are stored, padding included.
func (a Activation) KPad() int {
	if a.ElementBytes == 4 {
		return a.K
	}
	return roundUp(a.K, rowUnit)
}

// Entries returns the number of entries of a row.
func (a Activation) Entries() int {
	if a.Group == 0 {
		return 0
	}
	return ceilDiv(a.K, a.Group)
}

// EntryOffset returns where the entries start in a row.
func (a Activation) EntryOffset() int { return a.KPad() * a.ElementBytes }

// digitFormats names the format of one digit of the formats that have two.
var digitFormats = map[string]string{"q16t": "q8t", "q16g": "q8g"}

// Digit returns the form of one digit of a row that has two, and how many bytes the second digit is behind the first. Value = first +
// second; a form with one digit is its own.
func (a Activation) Digit() (one Activation, stride int) {
	name, ok := digitFormats[a.Name]
	if !ok {
		return a, 0
	}
	one, err := NewActivation(name, a.K, a.Group)
	if err != nil {
		panic("layout: " + err.Error()) // the digits of a checked form are sound
	}
	return one, roundUp(one.EntryOffset()+one.Entries()*EntryBytes, Align)
}

// Bytes returns how much of a row is used.
func (a Activation) Bytes() int {
	_, second := a.Digit()
	return second + a.EntryOffset() + a.Entries()*EntryBytes
}

// RowBytes returns the distance between rows when nothing else decides it. Padded formats use an odd number of cache
// lines: rows that are a power of two apart would compete for the same few lines of the first-level cache.
func (a Activation) RowBytes() int {
	n := a.Bytes()
	if a.ElementBytes == 4 {
		return n
	}
	return (ceilDiv(n, Align) | 1) * Align
}
