package hf

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"llmc/internal/dtype"
)

// RandomSeed parses the value of --weights: "random:SEED".
func RandomSeed(spec string) (uint64, error) {
	digits, ok := strings.CutPrefix(spec, "random:")
	seed, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("weights %q: must be random:SEED, such as random:1", spec)
	}
	return seed, nil
}

// randomWeights makes tensors up. Each element depends on the seed, the tensor's name and its place alone, so any rows can be
// made at any time, by any thread.
//
// Matrices have a deviation of 1/sqrt(columns), which keeps the size of activations from layer to layer; weights of norms (vectors
// called "....weight") are spread around 1, other vectors (biases) around 0.
type randomWeights struct {
	seed  uint64
	mu    sync.Mutex
	known map[string]*Tensor // what was asked for
}

const vectorDeviation = 0.02

// tensor makes a tensor, or returns the one that was made before.
func (r *randomWeights) tensor(name string, shape []int64) (*Tensor, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.known[name]; t != nil {
		return t, t.CheckShape(shape...)
	}
	t := &Tensor{Name: name, DType: dtype.F32, Stored: "F32", Shape: slices.Clone(shape), file: ConfigFile, rows: r}
	n := int64(1)
	for _, d := range shape {
		if d < 1 || n > maxElements/d {
			return nil, t.Errorf("shape %v is not one of a weight", shape)
		}
		n *= d
	}
	r.known[name] = t
	return t, nil
}

func (r *randomWeights) lookup(name string) *Tensor {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[name]
}

// readRows adds up the four 16-bit parts of a random word, which gives nearly normal numbers within 3.5 deviations
// (Irwin-Hall distribution of order four).
func (r *randomWeights) readRows(t *Tensor, dst []float32, first int64) error {
	mean, deviation := float32(0), float32(vectorDeviation)
	switch {
	case len(t.Shape) > 1:
		deviation = float32(1 / math.Sqrt(float64(t.Shape[len(t.Shape)-1])))
	case strings.HasSuffix(t.Name, ".weight"):
		mean = 1
	}
	// One part is uniform over 0..65535: variance (2^32-1)/12; the sum of four has a deviation of 65536/sqrt(3).
	scale := deviation * float32(math.Sqrt(3)/65536)
	state := r.stream(t.Name) + uint64(first)*weyl
	for i := range dst {
		w := mix(state)
		sum := int32(w&0xffff) + int32(w>>16&0xffff) + int32(w>>32&0xffff) + int32(w>>48)
		dst[i] = mean + float32(float32(sum-2*65535)*scale)
		state += weyl
	}
	return nil
}

func (r *randomWeights) readBytes(t *Tensor, _ []byte, _ int64) error {
	return t.Errorf("is random and has no stored bytes")
}

// stream returns where the tensor's sequence of states begins.
func (r *randomWeights) stream(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return mix(h.Sum64() ^ mix(r.seed))
}

// weyl is the step of the sequence whose members mix turns into random words (SplitMix64; Steele, Lea, Flood 2014).
const weyl = 0x9e3779b97f4a7c15

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
