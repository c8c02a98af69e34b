package sample

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"llmc/engine"
)

// FuzzSample gives the sampler arbitrary bits as logits and arbitrary valid options: it answers with a token that may be chosen or
// says that there is none, and leaves the logits alone.
func FuzzSample(f *testing.F) {
	f.Add([]byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0xc0, 0x7f}, float32(1), uint16(0), float32(1), float32(0), float32(0), uint8(0))
	f.Add([]byte{0, 0, 0x80, 0xff, 0, 0, 0, 0x40, 0, 0, 0x80, 0x3f}, float32(1e-4), uint16(2), float32(0.5), float32(0.3), float32(3e38), uint8(1))
	f.Add([]byte{0xff, 0xff, 0x7f, 0x7f, 0xff, 0xff, 0x7f, 0xff}, float32(1e38), uint16(9), float32(0.01), float32(1), float32(-1), uint8(0))
	f.Fuzz(func(t *testing.T, bits []byte, temperature float32, topK uint16, topP, minP, bias float32, banned uint8) {
		logits := make([]float32, min(len(bits)/4, 3000))
		for i := range logits {
			logits[i] = math.Float32frombits(binary.LittleEndian.Uint32(bits[4*i:]))
		}
		if len(logits) == 0 || !(temperature >= 0 && temperature < math.MaxFloat32) || !(topP >= 0 && topP <= 1) || !(minP >= 0 && minP <= 1) || bias != bias {
			return
		}
		sampling := &engine.Sampling{
			Temperature: temperature, TopK: int32(topK), TopP: topP, MinP: minP, Logprobs: 3,
			Bias:   []engine.TokenBias{{Token: int32(len(logits) - 1), Bias: bias}},
			Banned: []int32{int32(int(banned) % len(logits))},
		}
		before := slices.Clone(logits)
		var out engine.Sampled
		err := New(len(logits)).Sample(&engine.Row{Sampling: sampling}, logits, &out)
		for i, v := range logits {
			if math.Float32bits(v) != math.Float32bits(before[i]) {
				t.Fatalf("logit %d was changed from %v to %v", i, before[i], v)
			}
		}
		if err != nil {
			if !errors.Is(err, ErrLogits) || out.Token != -1 {
				t.Fatalf("token %d with error %v", out.Token, err)
			}
			return
		}
		if out.Token < 0 || int(out.Token) >= len(logits) || out.Token == sampling.Banned[0] || !(logits[out.Token] > negInf) {
			t.Fatalf("drew token %d", out.Token)
		}
		if len(out.Top) == 0 || out.Logprob > 0 || out.Logprob != out.Logprob {
			t.Fatalf("log-probability %v, %d alternatives", out.Logprob, len(out.Top))
		}
	})
}
