package grammar

import "math/big"

// spellings are the ways in which a number is written without an exponent.
func spellings(r *big.Rat) *expr {
	zeros := repeat(one('0', '0'), 0, -1)
	sign, abs := empty, new(big.Rat).Abs(r)
	switch r.Sign() {
	case 0:
		sign = optional(text("-"))
	case -1:
		sign = text("-")
	}
	if r.IsInt() {
		return seq(sign, text(abs.Num().String()), optional(seq(text("."), zeros)))
	}
	digits, _ := abs.FloatPrec()
	return seq(sign, text(abs.FloatString(min(digits, maxBoundText))), zeros)
}

// multiples is the expression of the multiples of "multipleOf", of integers alone or with digits behind a point.
func (n *node) multiples(keyword string, whole bool) (*expr, error) {
	v := n.keywords[keyword]
	r := exact(v)
	if r == nil || r.Sign() <= 0 {
		return nil, wrong(n.where, "multipleOf must be a number above 0, of at most %d digits", maxBoundText)
	}
	places, _ := r.FloatPrec() // decimal: always exact
	scaled := new(big.Int).Div(new(big.Int).Mul(r.Num(), power(places)), r.Denom())
	if whole {
		scaled.Div(scaled, new(big.Int).GCD(nil, nil, scaled, power(places)))
		places = 0
	}
	if places > mostPlaces || !scaled.IsInt64() || scaled.Int64() > maxMultiple {
		return nil, wrong(n.where, "multipleOf: %.32s is not supported in constrained output; %d times a power of ten is, at most, and %d digits behind the point", v, maxMultiple, mostPlaces)
	}
	return multiples(int(scaled.Int64()), places), nil
}

// multiples is the expression of the multiples of factor / 10^places: a state for each remainder and each place behind the point.
func multiples(factor, places int) *expr {
	g := &graph{}
	start := g.node()
	at := make([][]int, places+1) // by place and remainder
	for p := range at {
		at[p] = make([]int, factor)
		for r := range factor {
			at[p][r] = g.node()
		}
	}
	point, zeros := make([]int, factor), g.node()
	for r := range factor {
		point[r] = g.node()
		g.edge(at[0][r], point[r], text("."))
	}
	g.edge(start, start, text("-"))
	for d := range 10 {
		digit := one('0'+rune(d), '0'+rune(d))
		g.edge(start, at[0][d%factor], digit)
		for r := range factor {
			next := (10*r + d) % factor
			g.edge(at[0][r], at[0][next], digit)
			if places > 0 {
				g.edge(point[r], at[1][next], digit)
			}
			for p := 1; p < places; p++ {
				g.edge(at[p][r], at[p+1][next], digit)
			}
		}
	}
	scale := 1 // what a remainder is worth, of what is left of the places
	for p := places; p >= 0; p-- {
		for r := range factor {
			if r*scale%factor == 0 {
				g.final = append(g.final, at[p][r])
				g.edge(map[bool]int{true: point[r], false: at[p][r]}[p == 0], zeros, one('0', '0'))
			}
		}
		scale = scale * 10 % factor
	}
	g.edge(zeros, zeros, one('0', '0'))
	g.final = append(g.final, zeros)
	return over(g)
}
