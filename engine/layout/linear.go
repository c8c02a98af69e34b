package layout

import "fmt"

// Linear describes one packed weight [N, K]. New checks it; the methods trust it.
type Linear struct {
	*Format
	N, K int
	// Segment is the length of the parts of K that are summed apart and then added in order (the last may be shorter).
	Segment int
}

// New describes a weight [n, k] stored as format, summed in segments of segment k; 0 means one segment.
func New(format string, n, k, segment int) (Linear, error) {
	f, err := FindFormat(format)
	if err != nil {
		return Linear{}, err
	}
	if n < 1 || n > maxN || k < 1 || k > maxK {
		return Linear{}, fmt.Errorf("weight of %d x %d: sizes must be within 1..%d and 1..%d", n, k, maxN, maxK)
	}
	if segment == 0 {
		segment = roundUp(k, f.unit())
	}
	if segment < 0 || segment > roundUp(maxK, f.unit()) || segment%f.unit() != 0 {
		return Linear{}, fmt.Errorf("segment of %d: must be a positive multiple of %d for %s", segment, f.unit(), f.Name)
	}
	if f.KPerStep >= 4 && min(segment, k) > maxDotK {
		return Linear{}, fmt.Errorf("segment of %d: integer sums over more than %d products may overflow", segment, maxDotK)
	}
	l := Linear{Format: f, N: n, K: k, Segment: segment}
	if int64(int(l.bytes64())) != l.bytes64() {
		return Linear{}, fmt.Errorf("weight of %d x %d: %d bytes do not fit this machine's addresses", n, k, l.bytes64())
	}
	return l, nil
}

// unit is what segment lengths are multiples of.
func (f *Format) unit() int { return max(rowUnit, f.Group) }

// Panels returns the number of panels.
func (l Linear) Panels() int { return ceilDiv(l.N, Lanes) }

// Groups returns the number of groups along K; 0 for formats without groups.
func (l Linear) Groups() int {
	if l.Group == 0 {
		return 0
	}
	return ceilDiv(l.K, l.Group)
}

// GroupK returns the k of group g that are stored, padding included.
func (l Linear) GroupK(g int) int {
	return min(l.Group, roundUp(l.K-g*l.Group, groupUnit))
}

// KPad returns the k that a panel stores, padding included.
func (l Linear) KPad() int {
	if l.Group == 0 {
		return roundUp(l.K, rowUnit)
	}
	return roundUp(l.K, groupUnit)
}

// Segments returns the number of segments along K.
func (l Linear) Segments() int { return ceilDiv(l.K, l.Segment) }

// SegmentRange returns the k of segment s: [lo, hi).
func (l Linear) SegmentRange(s int) (lo, hi int) {
	return s * l.Segment, min(l.K, (s+1)*l.Segment)
}

// groupBytes is the size of a whole group: its steps, then its scales.
func (l Linear) groupBytes() int {
	if l.Super() {
		return l.superBytes()
	}
	if l.Levels {
		return l.Group / l.KPerStep * StepBytes
	}
	return l.codeBytes(l.Group) + l.scaleBytes()
}

// codeBytes is what the codes of k of a group take.
func (l Linear) codeBytes(k int) int {
	n := k / l.KPerStep * StepBytes
	if l.Fifth != noFifth {
		n += k / fifthUnit * StepBytes
	}
	return n
}

// scaleBytes is what the scales of a group take, its minimums and where it is split.
func (l Linear) scaleBytes() int {
	switch {
	case l.Minimums:
		return 2 * Lanes * l.ScaleBytes
	case l.Split:
		return 2*Lanes*l.ScaleBytes + Lanes
	}
	return Lanes * l.ScaleBytes
}

// StepOffset returns where the step holding k starts in a panel.
func (l Linear) StepOffset(k int) int {
	if l.Group == 0 {
		return k / l.KPerStep * StepBytes
	}
	if l.Tiered {
		return tieredStep(k)
	}
	if l.Ordered {
		return l.orderedHeader() + k/l.KPerStep*StepBytes
	}
	g := k / l.Group
	at := g*l.groupBytes() + (k-g*l.Group)/l.KPerStep*StepBytes
	if l.Super() {
		at += l.SuperHeader()
	}
	return at
}

// ScaleOffset returns where the 32 scales of group g (0 for u8) start in a panel.
func (l Linear) ScaleOffset(g int) int {
	switch {
	case l.Group == 0:
		return l.KPad() / l.KPerStep * StepBytes
	case l.Ordered:
		return g * Lanes * l.ScaleBytes
	case l.Super():
		return g * l.superBytes()
	case l.Tiered:
		return tieredScale(g)
	case l.Levels:
		return l.KPad()/l.KPerStep*StepBytes + g*Lanes*l.ScaleBytes
	}
	return g*l.groupBytes() + l.codeBytes(l.GroupK(g))
}

// ZeroOffset returns where the 32 zero points of group g start in a panel.
func (l Linear) ZeroOffset(g int) int {
	last := l.Groups() - 1
	return l.ScaleOffset(last) + Lanes*l.ScaleBytes + g*zeroBytes
}

// PanelBytes returns the size of a panel, a multiple of Align.
func (l Linear) PanelBytes() int {
	if l.Super() {
		return l.Groups()*l.SuperHeader() + l.KPad()/l.KPerStep*StepBytes
	}
	if l.Ordered {
		return l.orderedBytes()
	}
	last := max(0, l.Groups()-1)
	n := l.ScaleOffset(last) + l.scaleBytes()
	switch {
	case l.Tiered:
		n = l.OutputOffset() + 4*Lanes
	case l.Levels, l.Split:
		n = roundUp(n, Align)
	case l.Zeros:
		n += roundUp(l.Groups()*zeroBytes, Align)
	case l.Nested:
		n += roundUp(l.nestedGroups()*nestedBytes, Align)
	}
	return n
}

func (l Linear) bytes64() int64 { return int64(l.Panels()) * int64(l.PanelBytes()) }

// Bytes returns the size of the packed weight.
func (l Linear) Bytes() int { return int(l.bytes64()) }

// Panel returns the bytes of panel p.
func (l Linear) Panel(data []byte, p int) []byte {
	n := l.PanelBytes()
	return data[p*n : (p+1)*n : (p+1)*n]
}

// Check tells whether data can hold the packed weight.
func (l Linear) Check(data []byte) error {
	if len(data) < l.Bytes() {
		return fmt.Errorf("packed weight %s [%d,%d] takes %d bytes, there are %d", l.Name, l.N, l.K, l.Bytes(), len(data))
	}
	return nil
}
