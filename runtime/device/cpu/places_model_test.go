package cpu_test

import (
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/cpu"
	"llmc/runtime/device/cpu/numa"
)

// TestSeveralNodes wants what a model computes not to depend on nodes of memory: here two processors are nodes of their own, of the memory that every machine has.
func TestSeveralNodes(t *testing.T) {
	cpus := numa.Allowed()
	if len(cpus) < 2 {
		t.Skip("one processor")
	}
	nodes := []numa.Node{{ID: 0, CPUs: cpus[:1]}, {ID: 0, CPUs: cpus[1:2]}}
	plan := plantest.Build(t, plantest.Demo, compiler.Options{Quant: "int8"})
	logits := func(d cpu.Device, numa string) (all []float32) {
		model, err := d.Load(plan, engine.Settings{MaxStepTokens: 32, MaxContext: 64, Threads: 2, NUMA: numa})
		check(t, err)
		defer model.Close()
		check(t, engine.Forward(model, plan.Info().Vocab, []int32{1, 7, 3, 9, 2, 11, 40, 5}, func(int) bool { return true }, func(_ int, row []float32) error {
			all = append(all, row...)
			return nil
		}))
		return all
	}
	want := logits(cpu.Device{}, "")
	for name, got := range map[string][]float32{"two nodes": logits(cpu.Device{Nodes: nodes}, ""), "off": logits(cpu.Device{Nodes: nodes}, engine.NUMAOff)} {
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%s: logit %d is %g, want %g", name, i, got[i], want[i])
			}
		}
	}
}
