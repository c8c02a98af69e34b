package gpu_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/gpu"
)

// blank is a card that runs nothing and keeps what was launched since it was last looked at.
type blank struct {
	gpu.HostMemory
	next     uint64
	launched string
}

type blankMemory uint64

func (m blankMemory) Addr() uint64               { return uint64(m) }
func (blankMemory) Write(int64, []byte) error    { return nil }
func (blankMemory) Read(_ int64, b []byte) error { clear(b); return nil }

func (b *blank) Card() gpu.Card {
	return gpu.Card{Name: "blank", Capability: 90, Driver: 13000, Memory: 1 << 30, SharedMemory: 227 << 10}
}
func (b *blank) Load(string) (gpu.Code, error)         { return b, nil }
func (b *blank) Entry(name string) (gpu.Kernel, error) { return name, nil }
func (b *blank) Close() error                          { return nil }

func (b *blank) Alloc(_ string, ranges []gpu.Range) (list []gpu.Memory, err error) {
	for range ranges {
		b.next += 4096
		list = append(list, blankMemory(b.next))
	}
	return list, nil
}

func (b *blank) Constants(list []gpu.Constant) (gpu.Upload, error) {
	return blankUpload{}, nil
}

// blankUpload has constants in the order of the list.
type blankUpload struct{}

func (blankUpload) Addr(i int) uint64 { return 1<<40 + uint64(i)<<20 }
func (blankUpload) Wait() error       { return nil }

func (b *blank) Launch(l *gpu.Launch) error {
	b.launched += fmt.Sprintln(l.Kernel, l.Grid, l.Threads, l.Shared, l.Args)
	return nil
}

// demoPlan is the bundled model for sm90.
func demoPlan(t testing.TB) *engine.Plan {
	t.Helper()
	return plantest.Build(t, plantest.Demo, compiler.Options{Quant: "int4", Archs: []string{"sm90"}})
}

// TestOneGraphForABucket wants all steps of a bucket to be the same launches with the same arguments, whatever tokens, sequences and rows they
// have, and those of different buckets to differ.
func TestOneGraphForABucket(t *testing.T) {
	plan := demoPlan(t)
	card := &blank{}
	model, err := gpu.Load(plan, card, engine.Settings{MaxStepTokens: 100, MaxSequences: 12, MaxContext: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	model.PadSteps()
	graphs, of := map[int]string{}, map[string]int{}
	random := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		step := randomStep(random, 100, 12)
		_, bucket := model.Padded(step)
		if bucket < step.T() {
			t.Fatalf("%d tokens are in bucket %d", step.T(), bucket)
		}
		card.launched = ""
		if err := model.Step(step, make([]engine.Sampled, len(step.Rows))); err != nil {
			t.Fatal(err)
		}
		if old, ok := graphs[bucket]; ok && old != card.launched {
			t.Fatalf("two steps of bucket %d are launched differently", bucket)
		}
		graphs[bucket], of[card.launched] = card.launched, bucket
	}
	if want := len(model.Buckets()); len(graphs) != want || len(of) != want {
		t.Errorf("%d graphs of %d buckets, %d are different", len(graphs), want, len(of))
	}
}

// randomStep has up to most tokens of up to sequences sequences, of which some are sampled.
func randomStep(random *rand.Rand, most, sequences int) *engine.Step {
	s := &engine.Step{}
	s.Reset()
	tokens := 1 << random.IntN(7)
	tokens = min(most, tokens+random.IntN(tokens))
	for left := tokens; left > 0; {
		n := min(left, 1+random.IntN(48))
		if s.B() == sequences-1 || s.B() == 0 && left <= 60 {
			n = min(left, 60)
		}
		for range n {
			s.IDs = append(s.IDs, 1)
		}
		for p := range (n + 15) / 16 {
			s.Pages = append(s.Pages, int32(4*s.B()+p))
		}
		s.EndSequence(0, n, 16)
		s.Rows = append(s.Rows, s.NextRow())
		if left -= n; s.B() == sequences {
			break
		}
	}
	return s
}
