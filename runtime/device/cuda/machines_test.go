//go:build cuda

package cuda_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/comm"
	"llmc/runtime/device/cuda"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/gpu"
)

// machinesOf are in this process, on the emulated driver's cards, which all use from the first on.
func machinesOf(t *testing.T, transport string, cards, stages, machines int, timeout time.Duration) *devicetest.Machines {
	on := func(g *comm.Group) devicetest.Machine {
		return cuda.Device{Machines: &gpu.Machines{Group: g, Transport: transport}}
	}
	return &devicetest.Machines{T: t, One: cuda.Device{}, On: on, Cards: cards, Stages: stages, Number: machines, Timeout: timeout}
}

// TestMachines wants the bits of one GPU from those of several machines, through NCCL and without it.
func TestMachines(t *testing.T) {
	for _, c := range []struct {
		name, transport         string
		nccl                    bool
		cards, stages, machines int
		long                    bool
	}{
		{"nccl", "auto", true, 1, 2, 2, false},
		{"nccl, two stages of two each", "nccl", true, 2, 4, 2, true},
		{"no nccl", "auto", false, 1, 2, 2, false},
		{"tcp", "tcp", true, 2, 4, 2, true},
	} {
		if c.long && os.Getenv("LLMC_LONG") == "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			options := compiler.Options{Quant: "bf16", Archs: []string{"sm80"}, NoFallback: true}
			if c.cards > 1 {
				options.Cards = []int{c.cards}
			}
			plan := plantest.Shared(t, options, map[string]any{"num_hidden_layers": c.stages})
			d := install(t, "sm80", 12040, c.cards*c.stages/c.machines)
			if d.NCCL = c.nccl; d.Install() != nil {
				t.Fatal("the driver is not installed")
			}
			m := machinesOf(t, c.transport, c.cards, c.stages, c.machines, time.Minute)
			devicetest.Cards(t, m, plan, plan.Info().Vocab, 128, 1, c.cards)
			if err := m.Join(); err != nil {
				t.Error(err)
			}
			wired := c.nccl && c.transport != "tcp"
			if counts := d.Counts(); (counts.Networked > 0) != wired || counts.Replays == 0 {
				t.Errorf("%d sends and receives through NCCL, %d steps were replayed", counts.Networked, counts.Replays)
			}
			if wired {
				devicetest.Ahead(t, devicetest.Always{Machines: m}, plan, plan.Info().Vocab, 128, 1)
				if err := m.Join(); err != nil {
					t.Error(err)
				}
			}
			returned(t, d)
		})
	}
}

var fewTokens = engine.Settings{Cards: 1, MaxContext: 64, MaxSequences: 2, MaxStepTokens: 8, KVBytes: 1 << 20}

// TestMachinesWithoutNCCL wants all to say what is missing where it is asked for.
func TestMachinesWithoutNCCL(t *testing.T) {
	plan := plantest.Shared(t, compiler.Options{Quant: "bf16", Archs: []string{"sm80"}, NoFallback: true}, nil)
	install(t, "sm80", 12040, 1)
	m := machinesOf(t, "nccl", 1, 2, 2, time.Minute)
	_, err := m.Load(plan, fewTokens)
	for _, err := range []error{err, m.Join()} {
		if err == nil || !strings.Contains(err.Error(), "--rank-transport nccl: NCCL is not there: libnccl.so.2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v", err)
		}
	}
}

// TestMachinesThatFail wants a line that says why, from all, and nobody to wait for ever.
func TestMachinesThatFail(t *testing.T) {
	plan := plantest.Shared(t, compiler.Options{Quant: "bf16", Archs: []string{"sm80"}, NoFallback: true}, nil)
	for _, c := range []struct {
		name, says string
		timeout    time.Duration
		lose       func(m *devicetest.Machines)
	}{
		{"a machine is lost", "somebody pulled the plug", time.Minute, func(m *devicetest.Machines) { _ = m.First.Fail(errors.New("somebody pulled the plug")) }},
		{"a machine stands still", "a step has not ended for 1s", time.Second, func(m *devicetest.Machines) {}},
		{"the network fails", "remote process exited", time.Minute, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := install(t, "sm80", 12040, 1)
			if d.NCCL = true; d.Install() != nil {
				t.Fatal("the driver is not installed")
			}
			m := machinesOf(t, "auto", 1, 2, 2, c.timeout)
			model, err := m.Load(plan, fewTokens)
			if err != nil {
				t.Fatal(err)
			}
			if c.lose != nil {
				d.LoseMessages()
			} else {
				d.BreakNetworks()
			}
			step := &engine.Step{}
			step.Reset()
			step.IDs, step.Pages = append(step.IDs, 1), append(step.Pages, 0)
			step.EndSequence(0, 1, 16)
			step.Rows = append(step.Rows, step.NextRow())
			if c.lose != nil {
				time.AfterFunc(50*time.Millisecond, func() { c.lose(m) })
			}
			begun := time.Now()
			err = model.Step(step, make([]engine.Sampled, 1))
			for err == nil && c.lose == nil && time.Since(begun) < 5*time.Second { // a failure that is told beside the steps
				err = model.Step(step, make([]engine.Sampled, 1))
			}
			if !errors.Is(err, engine.ErrDeviceLost) || !strings.Contains(err.Error(), c.says) || time.Since(begun) > 10*time.Second {
				t.Errorf("after %v: %v", time.Since(begun), err)
			}
			if err := m.Join(); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the other machine says %v", err)
			}
			model.Close()
			returned(t, d)
		})
	}
}
