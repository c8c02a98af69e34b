package grammar

import (
	"math/big"
	"strings"

	"llmc/runtime/server/strictjson"
)

const (
	boundDigits    = 15 // behind a bound's point, which float64 tells apart
	maxMultiple    = 1000
	mostPlaces     = 16 // behind the point of "multipleOf"
	mostInteger    = 18 // digits of integers
	mostInNumber   = 15 // digits in front of the point of other numbers
	fractionDigits = 15
)

// bound is an end of an interval; a nil bound is none.
type bound struct {
	at   *big.Rat
	open bool // at itself is outside
}

// interval is what "minimum" and its like leave.
type interval struct{ low, high *bound }

func readBound(n *node, keyword string, open bool) (*bound, error) {
	v := n.keywords[keyword]
	if v == nil {
		return nil, nil
	}
	if v.Kind() != "number" {
		return nil, wrong(n.where, "%s must be a number", keyword)
	}
	if r := exact(v); r != nil {
		return &bound{r, open}, nil
	}
	return nil, wrong(n.where, "%s: %.40s has more than %d digits", keyword, v, maxBoundText)
}

// has tells whether a number is inside.
func (i interval) has(r *big.Rat) bool {
	at := &bound{at: r}
	return !at.below(i.low) && !i.high.below(at)
}

// below tells whether all up to one bound is below all from another on.
func (b *bound) below(other *bound) bool {
	if b == nil || other == nil {
		return false
	}
	order := b.at.Cmp(other.at)
	return order < 0 || order == 0 && (b.open || other.open)
}

// short cuts a bound of numbers that are written with a point to so many digits, towards the inside: up (1) or down (-1). What is further out than such numbers get is none.
func (b *bound) short(direction int64) *bound {
	if b == nil {
		return nil
	}
	limit := new(big.Rat).SetInt(power(mostInNumber))
	if b.at.Cmp(limit) >= 0 && direction < 0 || b.at.Cmp(limit.Neg(limit)) <= 0 && direction > 0 {
		return nil
	}
	scaled := new(big.Rat).Mul(b.at, new(big.Rat).SetInt(power(boundDigits)))
	if scaled.IsInt() {
		return b
	}
	near := (&bound{at: scaled}).integer(direction)
	return &bound{at: new(big.Rat).SetFrac(near, power(boundDigits))}
}

// power is a power of ten.
func power(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

func (c conjunction) interval() (i interval, err error) {
	for _, n := range c {
		for _, row := range []struct {
			keyword string
			open    bool
			to      **bound
			sign    int
		}{
			{"minimum", false, &i.low, 1}, {"exclusiveMinimum", true, &i.low, 1},
			{"maximum", false, &i.high, -1}, {"exclusiveMaximum", true, &i.high, -1},
		} {
			b, err := readBound(n, row.keyword, row.open)
			if err != nil {
				return i, err
			}
			if b == nil {
				continue
			}
			if old := *row.to; old == nil || row.sign*b.at.Cmp(old.at) > 0 || b.at.Cmp(old.at) == 0 && b.open {
				*row.to = b
			}
		}
	}
	return i, nil
}

// numberOf is the expression of numbers, or of integers alone.
func (s *schema) numberOf(c conjunction, types typeSet) (e *expr, err error) {
	i, err := c.interval()
	if err != nil {
		return nil, err
	}
	whole := types&typeFraction == 0
	plain := i.low == nil && i.high == nil && !c.has("multipleOf", "!multipleOf", "!enum") && types&typeInteger != 0
	switch {
	case plain && whole:
		return c.bits(s.whole), nil
	case plain:
		return s.number, nil
	case whole && i.low == nil && i.high == nil:
		e = c.bits(s.whole)
	case whole:
		e = c.bits(i.integers())
	default:
		e = interval{i.low.short(1), i.high.short(-1)}.decimals()
	}
	for _, n := range c {
		for _, keyword := range []string{"multipleOf", "!multipleOf"} {
			if n.keywords[keyword] == nil {
				continue
			}
			m, err := n.multiples(keyword, whole)
			if err != nil {
				return nil, err
			}
			if keyword == "multipleOf" {
				e = both(e, m)
			} else {
				e = but(e, m)
			}
		}
	}
	if types&typeInteger == 0 {
		e = but(e, seq(optional(text("-")), digits, optional(seq(text("."), repeat(one('0', '0'), 0, -1)))))
	}
	return c.without(e, func(v strictjson.Value) *expr {
		if r := exact(v); r != nil {
			return spellings(r)
		}
		return nil
	}), nil
}

// bits keeps integers to the formats that OpenAPI has for them.
func (c conjunction) bits(e *expr) *expr {
	for _, n := range c {
		name, _ := n.keywords["format"].Text()
		if f, ok := integerFormats[name]; ok {
			low, high := new(big.Rat).SetFloat64(f[0]), new(big.Rat).SetFloat64(f[1])
			e = both(e, interval{&bound{at: low}, &bound{at: high}}.integers())
		}
	}
	return e
}

// integerFormats are their bounds; those of 64 bits are wider than what is written.
var integerFormats = map[string][2]float64{
	"int8": {-128, 127}, "int16": {-32768, 32767}, "int32": {-1 << 31, 1<<31 - 1},
	"uint8": {0, 255}, "uint16": {0, 65535}, "uint32": {0, 1<<32 - 1}, "uint64": {0, 1 << 60}, "uint": {0, 1<<32 - 1},
}

// integers is the expression of the integers of an interval.
func (i interval) integers() *expr {
	low, high := i.low.integer(1), i.high.integer(-1)
	var subs []*expr
	if high == nil || high.Sign() >= 0 {
		subs = append(subs, naturals(notBelow(low, 0), high, mostInteger))
	}
	if low == nil || low.Sign() < 0 {
		var most *big.Int
		if low != nil {
			most = new(big.Int).Neg(low)
		}
		least := big.NewInt(1)
		if high != nil && high.Sign() < 0 {
			least.Neg(high)
		}
		subs = append(subs, seq(text("-"), naturals(least, most, mostInteger)))
	}
	return alt(subs...)
}

func notBelow(a *big.Int, least int64) *big.Int {
	if a == nil || a.Cmp(big.NewInt(least)) < 0 {
		return big.NewInt(least)
	}
	return a
}

// integer is the first integer inside, upward (1) or downward (-1).
func (b *bound) integer(direction int64) *big.Int {
	if b == nil {
		return nil
	}
	floor := new(big.Int).Div(b.at.Num(), b.at.Denom()) // Euclidean: towards minus infinity
	switch {
	case b.at.IsInt() && b.open:
		floor.Add(floor, big.NewInt(direction))
	case !b.at.IsInt() && direction > 0:
		floor.Add(floor, big.NewInt(1))
	}
	return floor
}

// naturals is the expression of the integers from low to high, which are not negative; nil: to all of so many digits.
func naturals(low, high *big.Int, most int) *expr {
	if high == nil {
		if high = new(big.Int).Sub(power(most), big.NewInt(1)); high.Cmp(low) < 0 {
			high = new(big.Int).Mul(low, big.NewInt(10))
		}
	}
	var subs []*expr
	for n := len(low.String()); n <= len(high.String()); n++ {
		a, b := new(big.Int), new(big.Int).Sub(power(n), big.NewInt(1))
		if n > 1 {
			a = power(n - 1)
		}
		if a.Cmp(low) < 0 {
			a = low
		}
		if b.Cmp(high) > 0 {
			b = high
		}
		if a.Cmp(b) <= 0 {
			subs = append(subs, between(a.String(), b.String()))
		}
	}
	return alt(subs...)
}

// between is the expression of the texts of digits from a to b, which are equally long.
func between(a, b string) *expr {
	if a == "" {
		return empty
	}
	if strings.Trim(a, "0") == "" && strings.Trim(b, "9") == "" {
		return repeat(digit, len(a), len(a))
	}
	if a[0] == b[0] {
		return seq(text(a[:1]), between(a[1:], b[1:]))
	}
	n := len(a) - 1
	subs := []*expr{
		seq(text(a[:1]), between(a[1:], strings.Repeat("9", n))),
		seq(text(b[:1]), between(strings.Repeat("0", n), b[1:])),
	}
	if a[0]+1 < b[0] {
		subs = append(subs, seq(one(rune(a[0]+1), rune(b[0]-1)), repeat(digit, n, n)))
	}
	return alt(subs...)
}
