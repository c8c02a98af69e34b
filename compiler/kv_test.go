package compiler_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/runtime/device/emu"
)

// TestKVFormats builds the demo model with every format of the KV cache that GPUs have, for each target, and wants all values of a run on the
// emulator to be the interpreter's, which rounds keys and values in the same way. Cached positions take what the format says.
func TestKVFormats(t *testing.T) {
	bytes := map[string]int64{}
	for i, format := range []string{"bf16", "f16", "fp8", "int8", "fp8"} {
		arch := []string{"sm80", "sm89", "sm90", "sm80", "sm89"}[i]
		out := filepath.Join(t.TempDir(), "demo.plan")
		_, err := compiler.Build(context.Background(), compiler.Options{Model: demo, Out: out, Archs: []string{arch}, KVDType: format, Check: true})
		check(t, err)
		plan, err := engine.Open(out)
		check(t, err)
		t.Cleanup(func() { plan.Close() })
		program, err := plan.Program("step", arch)
		check(t, err)
		memory, err := dump.NewMemory(plan, program, dump.MemorySettings{})
		check(t, err)
		bytes[format] = memory.KVTokenBytes
		model, err := emu.Device{}.Load(plan, compiler.VerifySettings())
		check(t, err)
		report, err := compiler.Against(t.Context(), plan, model.(engine.Tracer), demo)
		check(t, err)
		check(t, model.Close())
		if !report.OK || report.Compared < 4 {
			t.Errorf("%s, %s: %+v", arch, format, report)
		}
	}
	info := readInfo(t)
	rows := int64(2 * info.Layers * info.KVHeads)
	if half := rows * int64(info.HeadDim) * 2; bytes["bf16"] != half || bytes["f16"] != half {
		t.Errorf("a position takes %v, want %d of 16 bits", bytes, half)
	}
	if one := rows * int64(info.HeadDim+2); bytes["fp8"] != one || bytes["int8"] != one {
		t.Errorf("a position takes %v, want %d of 8 bits with scales", bytes, one)
	}
}

func readInfo(t *testing.T) engine.ModelInfo {
	t.Helper()
	plan, _ := buildFor(t, 1, "bf16", "sm80")
	return plan.Info()
}

// A device that lacks a format is named, with those that it has.
func TestKVFormatOfOtherDevices(t *testing.T) {
	for archs, c := range map[string]struct{ format, text string }{
		"x86-64-v3":      {"fp8", "target x86-64-v3 takes no KV cache of fp8: give --kv-dtype one of f32, bf16, or build for other targets"},
		"sm80,x86-64-v4": {"int8", "target x86-64-v4 takes no KV cache of int8"},
		"sm90":           {"f32", "target sm90 takes no KV cache of f32: give --kv-dtype one of bf16, f16, fp8, int8"},
	} {
		options := compiler.Options{Model: demo, Out: filepath.Join(t.TempDir(), "x.plan"), Archs: strings.Split(archs, ","), KVDType: c.format}
		if _, err := compiler.Build(context.Background(), options); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s of %s: %v", archs, c.format, err)
		}
	}
}
