// Package sym holds symbolic dimensions: linear forms of the few sizes that are known only at run time.
package sym

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Symbol is a size that a step fixes.
type Symbol uint8

// T tokens in this step, B sequences in this step, R rows to sample, S context length.
const (
	T Symbol = iota
	B
	R
	S
	numSymbols
)

const names = "TBRS"

func (s Symbol) String() string { return names[s : s+1] }

// Dim is K + sum of Coef[s]*s. The zero Dim is the integer 0. Dims are comparable with ==.
type Dim struct {
	K    int64
	Coef [numSymbols]int64
}

// Const returns the integer n.
func Const(n int64) Dim { return Dim{K: n} }

// Of returns the symbol s itself.
func Of(s Symbol) Dim {
	var d Dim
	d.Coef[s] = 1
	return d
}

// IsConst reports whether d does not depend on any symbol, and its value.
func (d Dim) IsConst() (int64, bool) { return d.K, d.Coef == [numSymbols]int64{} }

// Add returns d + e.
func (d Dim) Add(e Dim) Dim {
	d.K += e.K
	for i := range d.Coef {
		d.Coef[i] += e.Coef[i]
	}
	return d
}

// Scale returns d * n.
func (d Dim) Scale(n int64) Dim {
	d.K *= n
	for i := range d.Coef {
		d.Coef[i] *= n
	}
	return d
}

// Max returns a form that is at least d and at least e for all non-negative symbol values.
func (d Dim) Max(e Dim) Dim {
	d.K = max(d.K, e.K)
	for i := range d.Coef {
		d.Coef[i] = max(d.Coef[i], e.Coef[i])
	}
	return d
}

// Env gives the symbols their values.
type Env [numSymbols]int64

// Bind returns an Env with the given sizes.
func Bind(t, b, r, s int64) Env { return Env{T: t, B: b, R: r, S: s} }

// Eval returns the value of d, or an error when it is negative or does not fit in 62 bits.
func (d Dim) Eval(env Env) (int64, error) {
	sum := d.K
	for i, c := range d.Coef {
		v := env[i]
		if c != 0 && v != 0 && (abs(c) > math.MaxInt64/4/abs(v)) {
			return 0, fmt.Errorf("size %v overflows at %s=%d", d, Symbol(i), v)
		}
		sum += c * v
		if abs(sum) > math.MaxInt64/4 {
			return 0, fmt.Errorf("size %v overflows", d)
		}
	}
	if sum < 0 {
		return 0, fmt.Errorf("size %v is negative", d)
	}
	return sum, nil
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}

// String prints forms such as "T", "4*T+16" and "896"; Parse reads them back.
func (d Dim) String() string {
	var parts []string
	for i, c := range d.Coef {
		switch c {
		case 0:
		case 1:
			parts = append(parts, Symbol(i).String())
		default:
			parts = append(parts, fmt.Sprintf("%d*%s", c, Symbol(i)))
		}
	}
	if d.K != 0 || len(parts) == 0 {
		parts = append(parts, strconv.FormatInt(d.K, 10))
	}
	return strings.Join(parts, "+")
}

// Parse reads what String prints.
func Parse(text string) (Dim, error) {
	var d Dim
	for _, part := range strings.Split(text, "+") {
		coef, symbol := int64(1), part
		if head, tail, ok := strings.Cut(part, "*"); ok {
			n, err := strconv.ParseInt(head, 10, 64)
			if err != nil {
				return Dim{}, fmt.Errorf("size %q: bad coefficient %q", text, head)
			}
			coef, symbol = n, tail
		}
		if i := strings.Index(names, symbol); i >= 0 && len(symbol) == 1 {
			d.Coef[i] += coef
			continue
		}
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return Dim{}, fmt.Errorf("size %q: %q is neither an integer nor one of the symbols T, B, R, S", text, part)
		}
		d.K += n
	}
	return d, nil
}
