package emu_test

import (
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/emu"
)

// planFor builds the demo model for targets.
func planFor(t *testing.T, format string, alone bool, targets ...string) *engine.Plan {
	t.Helper()
	return plantest.Build(t, plantest.Demo, compiler.Options{Quant: format, Archs: targets, NoFallback: alone})
}

// TestCards loads plans onto cards of every row with drivers of several ages, and wants the program that fits best or one line that says why there
// is none.
func TestCards(t *testing.T) {
	both, hopper := planFor(t, "bf16", false, "sm90"), planFor(t, "bf16", true, "sm90")
	float8, served := planFor(t, "fp8", false, "sm89", "sm90", "sm80"), planFor(t, "int8", false, "sm100", "sm120", "sm80")
	processor := planFor(t, "bf16", false, "x86-64-v3")
	for _, c := range []struct {
		name  string
		plan  *engine.Plan
		row   string
		cuda  engine.CUDAVersion
		shape func(*emu.Device)
		want  string // target, or part of the error
	}{
		{"Hopper", both, "sm90", 12020, nil, "sm90"},
		{"older than Hopper", both, "sm89", 12020, nil, "sm80"},
		{"newer than Hopper", both, "sm100", 13000, nil, "sm80"},
		{"a driver that knows no wgmma", both, "sm90", 11080, nil, "sm80"},
		{"a driver too old for everything", both, "sm90", 11040, nil, "sm90 is PTX 8.0, which needs driver 525 or newer (CUDA 12.0), the one here is of CUDA 11.4; sm80 is PTX 7.8, which needs driver 520 or newer (CUDA 11.8), the one here is of CUDA 11.4"},
		{"Hopper alone on a newer card", hopper, "sm120", 13000, nil, "it has sm90, which runs on 9.0 alone: build it with llmc build --arch sm120"},
		{"Hopper alone on an older card", hopper, "sm80", 13000, nil, "build it with llmc build --arch sm80"},
		{"e4m3 on Ada", float8, "sm89", 12040, nil, "sm89"},
		{"e4m3 on Ada with a driver of its day", float8, "sm89", 12020, nil, "sm80"},
		{"e4m3 on Blackwell", float8, "sm120", 13000, nil, "sm89"},
		{"a row that is served", served, "sm120", 13000, nil, "sm80"},
		{"a plan for processors", processor, "sm90", 13000, nil, "the plan has no program for emulated sm90 (compute capability 9.0), it has x86-64-v3: build it with llmc build --arch sm90"},
		{"little memory", both, "sm90", 13000, func(d *emu.Device) { d.Card.Memory = 1 << 20 }, "sm90 needs 0.01 GiB for weights and"},
		{"little shared memory", hopper, "sm90", 13000, func(d *emu.Device) { d.Card.SharedMemory = 48 << 10 }, "bytes of shared memory in a block, it has 49152"},
		{"little shared memory, fallback", both, "sm90", 13000, func(d *emu.Device) { d.Card.SharedMemory = 99 << 10 }, "sm80"},
	} {
		t.Run(c.name, func(t *testing.T) {
			card, err := emu.Impersonate(c.row, c.cuda)
			if err != nil {
				t.Fatal(err)
			}
			device := emu.Device{Card: card}
			if c.shape != nil {
				c.shape(&device)
			}
			model, err := device.Load(c.plan, compiler.VerifySettings())
			if err != nil {
				if text := err.Error(); !strings.Contains(text, c.want) || strings.Contains(text, "\n") {
					t.Errorf("%v; want %s", err, c.want)
				}
				return
			}
			defer model.Close()
			if settings, _ := model.Limits(); settings.Target != c.want {
				t.Errorf("chose %s, want %s", settings.Target, c.want)
			}
		})
	}
}

// TestImpersonate wants code for one GPU alone to be refused by an emulator that passes for another, whatever chose it.
func TestImpersonate(t *testing.T) {
	if _, err := emu.Impersonate("x86-64-v3", 13000); err == nil {
		t.Error("the emulator passes for a processor")
	}
	if got := served(t, planFor(t, "bf16", false, "sm120", "sm100")); strings.Join(got, " ") != "sm80" {
		t.Errorf("rows that sm80 serves are built as %v", got)
	}
	if got := served(t, planFor(t, "bf16", false, "sm90", "sm89")); strings.Join(got, " ") != "sm90 sm89 sm80" {
		t.Errorf("sm90 and sm89 are built as %v", got)
	}
}

func served(t *testing.T, plan *engine.Plan) []string {
	t.Helper()
	return plan.Targets("step")
}
