package engine

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"testing"
)

// The record is written as Go lays the struct out, which is where kernels read its fields.
func TestSampleRowLayout(t *testing.T) {
	r := SampleRow{Seed: 1<<63 + 5, Scale: 1.5, Cut: 40, TopP: 7, TopK: 8, Flags: 9, Position: -10, Alternatives: 11, Bias: 12, Banned: 13,
		History: 14, Seen: 15, Mask: 16, Repetition: 1.25, Frequency: -0.5, Presence: 2}
	var want bytes.Buffer
	if err := binary.Write(&want, binary.LittleEndian, &r); err != nil {
		t.Fatal(err)
	}
	if got := r.Append(nil); !bytes.Equal(got, want.Bytes()) || len(got) != SampleRowBytes {
		t.Errorf("%d bytes %x, want %d bytes %x", len(got), got, SampleRowBytes, want.Bytes())
	}
}

// Powers are right to a few of their last places.
func TestMassTable(t *testing.T) {
	for j, got := range MassTable {
		// got^64 = 2^-j.
		power := new(big.Float).SetPrec(400).SetFloat64(got)
		for range 6 {
			power.Mul(power, power)
		}
		f, _ := power.Mul(power, new(big.Float).SetMantExp(big.NewFloat(1), j)).Float64()
		if math.Abs(f-1) > 64*4*0x1p-53 {
			t.Errorf("entry %d to the power of 64 is off by %g", j, f-1)
		}
	}
}

// The masses of any vocabulary fit 63 bits, and keys are in the order of logits.
func TestMassBitsAndKeys(t *testing.T) {
	for _, vocab := range []int{1, 2, 3, 64, 65, 150_000, 1<<31 - 1} {
		hi, lo := new(big.Int).SetInt64(int64(vocab)), MassBits(vocab)
		if hi.Lsh(hi, uint(lo)).BitLen() > 63 {
			t.Errorf("vocabulary of %d: masses of up to 2^%d", vocab, lo)
		}
	}
	negZero := float32(math.Copysign(0, -1))
	order := []float32{float32(math.Inf(-1)), -math.MaxFloat32, -1, -1e-45, 0, 1e-45, 1, math.MaxFloat32}
	for i, v := range order {
		if KeyLogit(LogitKey(v)) != v || i > 0 && LogitKey(order[i-1]) >= LogitKey(v) {
			t.Errorf("key of %v is %#x", v, LogitKey(v))
		}
	}
	if LogitKey(negZero) != LogitKey(0) {
		t.Error("-0 and 0 have different keys")
	}
}
