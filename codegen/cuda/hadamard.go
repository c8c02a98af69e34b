package cuda

import (
	"math"

	"llmc/codegen/ptx"
	"llmc/internal/quant"
)

// Rows of some caches are multiplied with Hadamard matrices, which are their own inverses, before they become codes: see quant.KVFormat. A matrix of n is
// log2(n) stages of butterflies, that of distance 1 first, as in internal/rotation, which all that turns here keeps to:
//
//	a[i], a[i+d] = a[i] + a[i+d], a[i] - a[i+d]   for each d = 1, 2, .. n/2, of numbers that have been divided by sqrt(n)
//
// Those of small distances are among the registers of a lane, or of neighbouring lanes.

// kvFormat is that of the launch's cache.
func (e *entry) kvFormat() *quant.KVFormat {
	f, err := quant.KVOf(e.kv().DType)
	if err != nil {
		panic("cuda: " + err.Error()) // Target was asked, which knows them
	}
	return f
}

// turnBlock is the size of the matrices that rows of the launch's cache are multiplied with; 1: they are not.
func (e *entry) turnBlock() int {
	kv := e.kv()
	return e.kvFormat().Block(kv.Dim, kv.Rank)
}

// turnFactor is what numbers are multiplied with, which butterflies make sqrt(n) times too large.
func (e *entry) turnFactor() float64 {
	return float64(float32(1 / math.Sqrt(float64(e.turnBlock()))))
}

// butterflies are the stages of distances from one on, below another, among a lane's numbers.
func (e *entry) butterflies(v []ptx.Reg, from, below int) {
	for d := from; d < below; d *= 2 {
		for i := range v {
			if i&d == 0 {
				less := e.Sub(v[i], v[i+d])
				e.Into(v[i]).Add(v[i], v[i+d])
				e.Set(v[i+d], less)
			}
		}
	}
}

// laneButterflies are the stages among lanes, so many of which are side by side, of numbers that lie so far apart from the next lane's, of blocks of a size.
func (e *entry) laneButterflies(v []ptx.Reg, lane ptx.Reg, apart, lanes, block int) {
	for d := 1; d < lanes && d*apart < block; d *= 2 {
		sign := e.butterflySign(lane, d)
		for _, x := range v {
			e.Into(x).Fma(x, sign, e.ShflXor(x, d))
		}
	}
}

// butterflySign is what the second number of a sum is multiplied with: -1 where a bit of i is set.
func (e *entry) butterflySign(i ptx.Reg, bit int) ptx.Reg {
	return e.Select(e.Eq(e.And(i, bit), 0), e.Const(ptx.F32, 1), -1.0)
}

// octet is how many neighbouring channels a lane has of rows that turn; the next lane has the next ones.
const octet = 8

// turnOctet turns rows of which each lane has an octet; rows of few octets lie side by side in the lanes.
func (e *entry) turnOctet(v []ptx.Reg, lane ptx.Reg) {
	block := e.turnBlock()
	if block == 1 {
		return
	}
	for _, x := range v {
		e.Into(x).Mul(x, e.turnFactor())
	}
	e.butterflies(v, 1, min(octet, block))
	e.laneButterflies(v, lane, octet, 32, block)
}
