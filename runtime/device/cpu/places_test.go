package cpu

import (
	"testing"
	"unsafe"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/cpu/numa"
)

// twoNodes are two processors as nodes of their own, of the memory that every machine has.
func twoNodes(t *testing.T) []numa.Node {
	t.Helper()
	cpus := numa.Allowed()
	if len(cpus) < 2 {
		t.Skip("one processor")
	}
	return []numa.Node{{ID: 0, CPUs: cpus[:1]}, {ID: 0, CPUs: cpus[1:2]}}
}

// On several nodes a model computes what it does on one, and every byte of its products' weights is brought to one worker.
func TestSeveralNodes(t *testing.T) {
	nodes := twoNodes(t)
	plan := plantest.Build(t, plantest.Demo, compiler.Options{Quant: "int8"})
	settings := engine.Settings{MaxStepTokens: 32, MaxContext: 64, Threads: 2}
	logits := func(d Device, s engine.Settings) (all []float32) {
		loaded, err := d.Load(plan, s)
		if err != nil {
			t.Fatal(err)
		}
		defer loaded.Close()
		m := loaded.(*model)
		if several := len(d.Nodes) > 1 && s.NUMA != engine.NUMAOff; several != (m.places != nil) {
			t.Fatalf("%d nodes, numa %q: places %v", len(d.Nodes), s.NUMA, m.places)
		}
		if m.places != nil {
			<-m.places.placed
			if n := m.places.failed.Load(); n > 0 {
				t.Logf("%d parts can not be brought here", n)
			}
			checkParts(t, m)
		}
		vocab := plan.Info().Vocab
		tokens := []int32{1, 7, 3, 9, 2, 11, 40, 5}
		err = engine.Forward(loaded, vocab, tokens, func(int) bool { return true }, func(_ int, row []float32) error {
			all = append(all, row...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	want := logits(Device{}, settings)
	off := settings
	off.NUMA = engine.NUMAOff
	for name, got := range map[string][]float32{"two nodes": logits(Device{Nodes: nodes}, settings), "off": logits(Device{Nodes: nodes}, off)} {
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%s: logit %d is %g, want %g", name, i, got[i], want[i])
			}
		}
	}
}

// checkParts wants the parts of workers to follow each other and to be the whole weight.
func checkParts(t *testing.T, m *model) {
	t.Helper()
	products := 0
	for _, f := range m.functions {
		for _, r := range f.runners {
			l, ok := r.(*linear)
			if !ok {
				continue
			}
			products++
			at := &l.w.Data[0]
			for w := range 3 {
				part := l.ofWorker(w, 3)
				if len(part) > 0 && &part[0] != at {
					t.Fatalf("%s: the part of worker %d does not begin where that before ends", l.w.Name, w)
				}
				at = (*byte)(unsafe.Add(unsafe.Pointer(at), len(part)))
			}
			if uintptr(unsafe.Pointer(at)) != uintptr(unsafe.Pointer(&l.w.Data[0]))+uintptr(len(l.w.Data)) {
				t.Errorf("%s: parts are not the whole weight", l.w.Name)
			}
		}
	}
	if products == 0 {
		t.Error("no products")
	}
}
