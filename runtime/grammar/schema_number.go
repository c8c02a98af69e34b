package grammar

import (
	"math/big"
	"strings"
)

const (
	maxBoundText   = 40 // bytes of a bound
	boundDigits    = 15 // in front of a bound's point and behind it, which float64 tells apart
	maxMultiple    = 1000
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
	f, _ := v.Float()
	if r, ok := new(big.Rat).SetString(string(v)); ok && len(v) < maxBoundText && f < 1e15 && f > -1e15 {
		if scaled := new(big.Rat).Mul(r, new(big.Rat).SetInt(power(boundDigits))); scaled.IsInt() {
			return &bound{r, open}, nil
		}
	}
	return nil, wrong(n.where, "%s: %.40s has more than %d digits in front of the point or behind it", keyword, v, boundDigits)
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
func (s *schema) numberOf(c conjunction, types typeSet) (*expr, error) {
	i, err := c.interval()
	if err != nil {
		return nil, err
	}
	factor, err := c.multiple()
	if err != nil {
		return nil, err
	}
	bounded := i.low != nil || i.high != nil
	switch {
	case types&typeInteger == 0:
		return nothing, nil // numbers that are no integers have no keyword
	case factor == 0 && !bounded && types&typeFraction != 0:
		return s.number, nil
	case factor == 0 && types&typeFraction != 0:
		return i.decimals(), nil
	case factor == 0 && !bounded:
		return s.whole, nil
	}
	e := s.whole
	if bounded {
		e = i.integers()
	}
	if factor > 1 {
		e = both(e, multiples(factor))
	}
	return e, nil
}

// multiple is the least common multiple of all "multipleOf"; 0: there is none.
func (c conjunction) multiple() (int, error) {
	out := 0
	for _, n := range c {
		v := n.keywords["multipleOf"]
		if v == nil {
			continue
		}
		f, ok := v.Float()
		if !ok || f <= 0 || f != float64(int(f)) || f > maxMultiple {
			return 0, wrong(n.where, "multipleOf: %.32s is not supported in constrained output, whole numbers from 1 to %d are", v, maxMultiple)
		}
		if out == 0 {
			out = int(f)
			continue
		}
		a, b := out, int(f)
		for b != 0 {
			a, b = b, a%b
		}
		if out = out / a * int(f); out > maxMultiple {
			return 0, wrong(n.where, "multipleOf: all of them together come to %d; at most %d is supported", out, maxMultiple)
		}
	}
	return out, nil
}

// multiples is the expression of the multiples of a factor: a state for each remainder.
func multiples(factor int) *expr {
	g := &graph{nodes: factor + 1, final: []int{1}} // node 1+r: what has been read has remainder r
	g.edge(0, 0, text("-"))
	for r := range factor {
		for d := range 10 {
			g.edge(1+r, 1+(10*r+d)%factor, one('0'+rune(d), '0'+rune(d)))
		}
	}
	for d := range 10 {
		g.edge(0, 1+d%factor, one('0'+rune(d), '0'+rune(d)))
	}
	return over(g)
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

// decimals is the expression of the numbers of an interval, without exponents.
func (i interval) decimals() *expr {
	zero := &bound{at: new(big.Rat)}
	negated := func(b *bound) *bound {
		if b == nil {
			return nil
		}
		return &bound{new(big.Rat).Neg(b.at), b.open}
	}
	positive := func(low, high *bound) *expr {
		if low == nil || low.at.Sign() < 0 {
			low = zero
		}
		if high != nil && (high.at.Cmp(low.at) < 0 || high.at.Cmp(low.at) == 0 && (high.open || low.open)) {
			return nothing
		}
		return unsigned(low, high)
	}
	return alt(positive(i.low, i.high), seq(text("-"), positive(negated(i.high), negated(i.low))))
}

// split cuts a bound that is not negative at its point; the zeros at its end are not part of the fraction.
func (b *bound) split() (whole *big.Int, fraction string) {
	whole = new(big.Int).Div(b.at.Num(), b.at.Denom())
	_, fraction, _ = strings.Cut(b.at.FloatString(boundDigits), ".")
	return whole, strings.TrimRight(fraction, "0")
}

// unsigned is the expression of the numbers between bounds that are not negative; high may be nil.
func unsigned(low, high *bound) *expr {
	lowWhole, lowFraction := low.split()
	places := fractionDigits
	any := func() *expr { return optional(seq(text("."), repeat(digit, 1, places))) }
	shape := alt(empty, seq(text("."), repeat(digit, 1, places)))
	next := new(big.Int).Add(lowWhole, big.NewInt(1))
	if high == nil {
		return alt(seq(text(lowWhole.String()), both(fractionsFrom(lowFraction, low.open), shape)), seq(naturals(next, nil, mostInNumber), any()))
	}
	highWhole, highFraction := high.split()
	places = max(1, fractionDigits-len(highWhole.String()), len(lowFraction), len(highFraction))
	shape = alt(empty, seq(text("."), repeat(digit, 1, places)))
	from, to := both(fractionsFrom(lowFraction, low.open), shape), both(fractionsTo(highFraction, high.open), shape)
	if lowWhole.Cmp(highWhole) == 0 {
		return seq(text(lowWhole.String()), both(from, to))
	}
	subs := []*expr{seq(text(lowWhole.String()), from), seq(text(highWhole.String()), to)}
	if last := new(big.Int).Sub(highWhole, big.NewInt(1)); next.Cmp(last) <= 0 {
		subs = append(subs, seq(naturals(next, last, 0), any()))
	}
	return alt(subs...)
}

// fractionsFrom is the expression of the fractions, with the point, that are not below the digits given, or above them.
func fractionsFrom(least string, above bool) *expr {
	some := seq(repeat(one('0', '0'), 0, -1), one('1', '9'), digits) // more than nothing
	if least == "" && !above {
		return optional(seq(text("."), digit, digits))
	}
	e := some
	if !above {
		e = digits
	}
	for i := len(least) - 1; i >= 0; i-- {
		d := rune(least[i])
		e = seq(one(d, d), e)
		if d < '9' {
			e = alt(e, seq(one(d+1, '9'), digits))
		}
	}
	return seq(text("."), e)
}

// fractionsTo is the expression of the fractions that are not above the digits given, or below them. The last digit given is not 0.
func fractionsTo(most string, below bool) *expr {
	zeros := repeat(one('0', '0'), 0, -1)
	if most == "" {
		if below {
			return nothing
		}
		return optional(seq(text("."), one('0', '0'), zeros))
	}
	e := nothing // behind the digits
	if !below {
		e = zeros
	}
	for i := len(most) - 1; i >= 0; i-- {
		d := rune(most[i])
		if i < len(most)-1 {
			e = optional(e) // fewer digits are less
		}
		e = seq(one(d, d), e)
		if d > '0' {
			e = alt(e, seq(one('0', d-1), digits))
		}
	}
	return optional(seq(text("."), e))
}
