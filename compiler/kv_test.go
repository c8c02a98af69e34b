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

// TestKVFormats builds a model with every format of the KV cache that GPUs have, for each target, and wants all values of a run on the
// emulator to be the interpreter's, which rounds keys and values in the same way. Cached positions take what the format says.
func TestKVFormats(t *testing.T) {
	const tiny = "../testdata/checkpoints/qwen3-v5"
	for _, c := range []struct {
		format, arch, model string
		bytes, scale        int // of a number, and of a head's position
	}{
		{"bf16", "sm80", tiny, 2, 0}, {"f16", "sm89", tiny, 2, 0}, {"fp8", "sm90", tiny, 1, 2}, {"int8", "sm80", tiny, 1, 2}, {"fp8", "sm89", demo, 1, 2},
	} {
		t.Run(c.arch+"/"+c.format, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "engine.plan")
			_, err := compiler.Build(context.Background(), compiler.Options{Model: c.model, Out: out, Archs: []string{c.arch}, KVDType: c.format, Check: true})
			check(t, err)
			plan, err := engine.Open(out)
			check(t, err)
			defer plan.Close()
			program, err := plan.Program("step", c.arch)
			check(t, err)
			memory, err := dump.NewMemory(plan, program, dump.MemorySettings{})
			check(t, err)
			info := plan.Info()
			if want := int64(2 * info.Layers * info.KVHeads * (info.HeadDim*c.bytes + c.scale)); memory.KVTokenBytes != want {
				t.Errorf("a position takes %d bytes, want %d", memory.KVTokenBytes, want)
			}
			if v := verifiedPlan(t, emu.Device{}, plan, c.model); !v.OK || v.Compared < 4 {
				t.Errorf("%+v", *v)
			}
		})
	}
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
