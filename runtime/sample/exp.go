package sample

import "math"

// negExp returns e^-d for 0 <= d <= negligible with a relative error below 1e-12. Vocabularies are long and this is most of the cost
// of a draw; math.Exp takes several times as long.
//
// With n = round(d * 64/ln 2) and r = d - n * ln 2/64, |r| <= ln 2/128: e^-d = 2^-(n/64) * e^-r. The first factor is a
// table look-up and a subtraction in the exponent, the second a polynomial of degree 4.
func negExp(d float64) float64 {
	n := int64(d*(64/math.Ln2) + 0.5)
	r := float64(float64(n)*(math.Ln2/64)) - d
	p := 1 + float64(r*(1+float64(r*(1.0/2+float64(r*(1.0/6+float64(r*(1.0/24))))))))
	return math.Float64frombits(exp2Table[n&63]-uint64(n>>6)<<52) * p
}

// negligible is the gap beyond which a probability is taken as zero. It stays clear of subnormal numbers.
const negligible = 700

// exp2Table holds the bits of 2^(-j/64).
var exp2Table = func() (t [64]uint64) {
	for j := range t {
		t[j] = math.Float64bits(math.Exp2(-float64(j) / 64))
	}
	return t
}()
