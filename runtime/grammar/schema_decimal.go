package grammar

import (
	"math/big"
	"strings"
)

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
