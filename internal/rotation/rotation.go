// Package rotation owns the orthogonal matrices that a model is turned with, so that its activations have no outliers: the randomized Hadamard
// transforms of QuaRot (Ashkboos et al. 2024, arXiv:2404.00456), which compute the same function from weights that were turned the other way.
//
// A matrix is a name, which plans keep in the recipes of weights: its meaning is fixed. It works on blocks of n = m*2^a numbers, m odd, and is
// the Kronecker product of one orthogonal matrix for each prime factor of m, the largest first, and the Hadamard matrix of 2^a: number i*2^a+j of a
// block belongs to row i of the factors and row j of Hadamard's. In O(n log n), in f32 without fused multiply-add, so that every host gives the same bits.
//
// The package does not know which weights and activations are turned.
package rotation

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
)

// Rotation is one orthogonal matrix.
type Rotation struct {
	Name  string
	Block int // rows and columns of the matrix; longer vectors are turned block by block

	power   int       // 2^a
	primes  []prime   // factors of m, ascending: the first one's rows are closest together
	factors []float32 // what the numbers of a block are multiplied with first: a sign, and the length of Hadamard's rows
}

// prime is the matrix of a factor of m.
type prime struct {
	size   int
	matrix []float32 // [size, size]
}

// Bounds of sizes: MaxBlock is the widest matrix of weights, maxPrime keeps the matrix of a factor small.
const (
	MaxBlock = 1 << 20
	maxPrime = 1 << 9
)

// The kinds of matrices, by the first letter of their names; the size of a block follows.
const (
	signed = 'r' // signs, which differ from number to number, come first: no vector that a model is likely to have is an outlier afterwards
	plain  = 'h' // without signs, for a power of two: a Hadamard matrix is its own inverse
)

// Signed names the matrix with signs of blocks of n, Plain the one without.
func Signed(n int64) string { return string(signed) + strconv.FormatInt(n, 10) }

// Plain names the matrix without signs of blocks of n.
func Plain(n int64) string { return string(plain) + strconv.FormatInt(n, 10) }

// PowerOfTwo returns the largest power of two that divides n.
func PowerOfTwo(n int64) int64 { return n & -n }

// Find returns the matrix of a name.
func Find(name string) (*Rotation, error) {
	if len(name) < 2 || name[0] != signed && name[0] != plain {
		return nil, fmt.Errorf("unknown rotation %.20q: must be %c or %c and the size of a block", name, signed, plain)
	}
	n, err := strconv.Atoi(name[1:])
	if err != nil || n < 1 || n > MaxBlock || strconv.Itoa(n) != name[1:] {
		return nil, fmt.Errorf("unknown rotation %.20q: the size of a block must be within 1..%d", name, MaxBlock)
	}
	r := &Rotation{Name: name, Block: n, power: int(PowerOfTwo(int64(n)))}
	if name[0] == plain && r.power != n {
		return nil, fmt.Errorf("rotation %s: %d is not a power of two", name, n)
	}
	m := n / r.power
	for p := 3; m > 1; p += 2 {
		for ; m%p == 0; m /= p {
			if p > maxPrime {
				return nil, fmt.Errorf("rotation %s: %d has a prime factor of %d, at most %d", name, n, p, maxPrime)
			}
			r.primes = append(r.primes, prime{p, orthogonal(p)})
		}
		if p > maxPrime && m > 1 {
			return nil, fmt.Errorf("rotation %s: %d has a prime factor larger than %d", name, n, maxPrime)
		}
	}
	r.setFactors(name[0] == signed)
	return r, nil
}

// setFactors makes the signs: the top bits of splitmix64 (Steele et al. 2014) with the number's place as its seed.
func (r *Rotation) setFactors(signs bool) {
	length := float32(1 / math.Sqrt(float64(r.power)))
	r.factors = make([]float32, r.Block)
	for i := range r.factors {
		r.factors[i] = length
		if signs && splitmix(uint64(i))>>63 == 1 {
			r.factors[i] = -length
		}
	}
}

func splitmix(seed uint64) uint64 {
	z := seed + 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// orthogonal returns an orthogonal matrix of an odd prime size without large elements: the reflection 1 - 2/3 for three, whose elements are 1/3 and
// 2/3, and beyond that Hartley's, (cos + sin)(2 pi i j / p) / sqrt(p), whose largest are sqrt(2/p).
func orthogonal(p int) []float32 {
	matrix := make([]float32, p*p)
	for i := range p {
		for j := range p {
			angle := 2 * math.Pi * float64(i*j%p) / float64(p)
			v := (math.Cos(angle) + math.Sin(angle)) / math.Sqrt(float64(p))
			if p == 3 {
				v = -2.0 / 3
				if i == j {
					v += 1
				}
			}
			matrix[i*p+j] = float32(v)
		}
	}
	return matrix
}

// Rows turns each block of each row: x is any number of rows whose length is a multiple of Block.
func (r *Rotation) Rows(x []float32) {
	for at := 0; at < len(x); at += r.Block {
		r.turn(x[at:at+r.Block], 1, 1)
	}
}

// Columns turns columns [lo, hi) of x, rows of cols numbers, whose number of rows is a multiple of Block.
func (r *Rotation) Columns(x []float32, cols, lo, hi int) {
	for at := 0; at < len(x); at += r.Block * cols {
		r.turn(x[at+lo:at+(r.Block-1)*cols+hi], cols, hi-lo)
	}
}

// turn multiplies a block whose number i is the run of width numbers at i*stride with the matrix.
func (r *Rotation) turn(x []float32, stride, width int) {
	for i, f := range r.factors {
		run := x[i*stride:][:width]
		for k := range run {
			run[k] *= f
		}
	}
	r.hadamard(x, stride, width)
	distance := r.power
	for _, p := range r.primes {
		p.turn(x, r.Block, distance, stride, width)
		distance *= p.size
	}
}

// hadamard multiplies each part of r.power numbers with the matrix of signs (-1)^popcount(i&j), two stages of butterflies at a time.
func (r *Rotation) hadamard(x []float32, stride, width int) {
	distance := 1
	if bits.TrailingZeros(uint(r.power))%2 == 1 {
		for i := 0; i < r.Block; i += 2 {
			pair(x[i*stride:][:width], x[(i+1)*stride:][:width])
		}
		distance = 2
	}
	if distance == 1 && r.power >= 4 && stride == 1 {
		first(x)
		distance = 4
	}
	for ; distance < r.power; distance *= 4 {
		run, runs := width, distance // numbers side by side are one run
		if stride == width {
			run, runs = width*distance, 1
		}
		step := distance * stride
		for i := 0; i < r.Block; i += 4 * distance {
			for j := range runs {
				at := (i + j) * stride
				quad(x[at:][:run], x[at+step:][:run], x[at+2*step:][:run], x[at+3*step:][:run])
			}
		}
	}
}

// pair is a butterfly, quad two stages of them.
func pair(a, b []float32) {
	b = b[:len(a)]
	for i, v := range a {
		a[i], b[i] = v+b[i], v-b[i]
	}
}

func quad(a, b, c, d []float32) {
	b, c, d = b[:len(a)], c[:len(a)], d[:len(a)]
	for i, v := range a {
		p, q := v+b[i], v-b[i]
		s, t := c[i]+d[i], c[i]-d[i]
		a[i], b[i], c[i], d[i] = p+s, q+t, p-s, q-t
	}
}

// first is quad for numbers that lie side by side.
func first(x []float32) {
	for ; len(x) >= 4; x = x[4:] {
		p, q, s, t := x[0]+x[1], x[0]-x[1], x[2]+x[3], x[2]-x[3]
		x[0], x[1], x[2], x[3] = p+s, q+t, p-s, q-t
	}
}

// turn multiplies numbers that are distance apart, in a block of n.
func (p *prime) turn(x []float32, n, distance, stride, width int) {
	run, runs := width, distance
	if stride == width {
		run, runs = width*distance, 1
	}
	sums := make([]float32, p.size*min(run, chunk))
	for i := 0; i < n; i += p.size * distance {
		for j := range runs {
			for k := 0; k < run; k += chunk {
				p.apply(x[(i+j)*stride+k:], sums, distance*stride, min(chunk, run-k))
			}
		}
	}
}

// chunk is how many numbers of a run are worked on at a time.
const chunk = 64

// apply multiplies the vectors whose numbers are step apart; width of them lie side by side.
func (p *prime) apply(x, sums []float32, step, width int) {
	if p.size == 3 {
		reflect(x[:width], x[step:][:width], x[2*step:][:width])
		return
	}
	for i := range p.size {
		row, sum := p.matrix[i*p.size:][:p.size], sums[i*width:][:width]
		clear(sum)
		for j, f := range row {
			for k, v := range x[j*step:][:width] {
				sum[k] += float32(f * v)
			}
		}
	}
	for i := range p.size {
		copy(x[i*step:], sums[i*width:][:width])
	}
}

// reflect takes two thirds of their sum from each of three.
func reflect(a, b, c []float32) {
	b, c = b[:len(a)], c[:len(a)]
	for i := range a {
		s := float32((a[i] + b[i] + c[i]) * (2.0 / 3))
		a[i], b[i], c[i] = a[i]-s, b[i]-s, c[i]-s
	}
}
