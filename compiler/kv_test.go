package compiler_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/dump"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/cpu"
	"llmc/runtime/device/emu"
)

// TestKVFormats builds a model with every format of the KV cache that GPUs have, for each target, and wants all values of a run on the
// emulator to be the interpreter's, which rounds keys and values in the same way. Cached positions take what the format says.
func TestKVFormats(t *testing.T) {
	const tiny = "../testdata/checkpoints/qwen3-v5"
	for _, c := range []struct {
		format, arch, model string
		bits, scale         int // of a number, and bytes of a head's position
	}{
		{"bf16", "sm80", tiny, 16, 0}, {"f16", "sm89", tiny, 16, 0}, {"fp8", "sm90", tiny, 8, 2}, {"int8", "sm80", tiny, 8, 2}, {"fp8", "sm89", demo, 8, 2},
		{"int4", "sm80", tiny, 4, 2}, {"int4", "sm90", tiny, 4, 2}, {"int4", "sm89", "../testdata/checkpoints/llama-longrope", 4, 2},
	} {
		if c.model == demo && !thorough() {
			c.model = tiny
		}
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
			if want := int64(2 * info.Layers * info.KVHeads * (rowOnGPUs(info.HeadDim, c.bits) + c.scale)); memory.KVTokenBytes != want {
				t.Errorf("a position takes %d bytes, want %d", memory.KVTokenBytes, want)
			}
			if v := verifiedPlan(t, emu.Device{}, plan, c.model); !v.OK || v.Compared < 4 {
				t.Errorf("%+v", *v)
			}
		})
	}
}

// rowOnGPUs is what a row of numbers of so many bits takes there.
func rowOnGPUs(numbers, bits int) int { return (numbers*bits/8 + 15) / 16 * 16 }

// TestKVFormatsOfCPUs does so for CPUs, with heads that are normalised, windows, and keys that are turned when they are read.
func TestKVFormatsOfCPUs(t *testing.T) {
	targets := cpuTargets()
	for i, c := range []struct {
		format       string
		bytes, scale int
	}{{"f32", 4, 0}, {"bf16", 2, 0}, {"f16", 2, 0}, {"fp8", 1, 2}, {"int8", 1, 2}, {"int16", 2, 2}, {"int4", 0, 2}} {
		for j, model := range []string{"qwen3-v5", "qwen2-windows", "llama-longrope", "llama-dynamic"} {
			target := targets[(i+j)%len(targets)]
			t.Run(c.format+"/"+model+"/"+target, func(t *testing.T) {
				dir := "checkpoints/" + model
				plan := plantest.Build(t, dir, compiler.Options{Archs: []string{target}, KVDType: c.format, Check: true})
				program, err := plan.Program("step", target)
				check(t, err)
				memory, err := dump.NewMemory(plan, program, dump.MemorySettings{})
				check(t, err)
				info := plan.Info()
				want := int64(2 * info.Layers * info.KVHeads * (info.HeadDim*c.bytes + c.scale))
				if c.bytes == 0 { // codes of a value lie in lines of 32
					want += int64(info.Layers * info.KVHeads * (info.HeadDim + (info.HeadDim+31)/32*32) / 2)
				}
				if info.HeadDim%16 == 0 && memory.KVTokenBytes != want {
					t.Errorf("a position takes %d bytes, want %d", memory.KVTokenBytes, want)
				}
				if v := verifiedPlan(t, cpu.Device{}, plan, "../testdata/"+dir); !v.OK || v.Compared < 4 {
					t.Errorf("%+v", *v)
				}
			})
		}
	}
}

// TestKVFormatsOfLatentRows does so for rows that are keys and values of all heads, of which a cache holds one for each layer.
func TestKVFormatsOfLatentRows(t *testing.T) {
	const dir = "checkpoints/deepseek-v3-v5"
	targets := cpuTargets()
	for i, c := range []struct {
		format, gpu string // "": a target of CPUs
		bits, scale int    // that of a scale in bytes, of which those of a page's 16 positions fill a line together
	}{{"f32", "", 32, 0}, {"bf16", "", 16, 0}, {"f16", "", 16, 0}, {"fp8", "", 8, 4}, {"int8", "", 8, 4}, {"int16", "", 16, 4}, {"int4", "", 4, 4},
		{"f16", "sm80", 16, 0}, {"fp8", "sm80", 8, 4}, {"int8", "sm89", 8, 4}, {"fp8", "sm90", 8, 4}, {"int4", "sm80", 4, 4}, {"int4", "sm90", 4, 4}} {
		device, target := engine.Device(cpu.Device{}), targets[i%len(targets)]
		if c.gpu != "" {
			device, target = emu.Device{}, c.gpu
		}
		t.Run(c.format+"/"+target, func(t *testing.T) {
			plan := plantest.Build(t, dir, compiler.Options{Archs: []string{target}, KVDType: c.format, Check: true})
			program, err := plan.Program("step", target)
			check(t, err)
			memory, err := dump.NewMemory(plan, program, dump.MemorySettings{})
			check(t, err)
			const rank, rope = 32, 8
			width := (rank + rope) * c.bits / 8
			if c.gpu != "" {
				width = rowOnGPUs(rank+rope, c.bits)
			}
			if want := int64(plan.Info().Layers * (width + c.scale)); memory.KVTokenBytes != want {
				t.Errorf("a position takes %d bytes, want %d", memory.KVTokenBytes, want)
			}
			if v := verifiedPlan(t, device, plan, "../testdata/"+dir); !v.OK || v.Compared < 4 {
				t.Errorf("%+v", *v)
			}
		})
	}
}

// Rows of latent caches that GPU kernels have no room for are refused in a line.
func TestLatentRowsBeyondKernels(t *testing.T) {
	dir, seed := t.TempDir(), uint64(3)
	for sizes, want := range map[string]string{
		`"kv_lora_rank": 528, "qk_rope_head_dim": 16`: "latent cache of rank 528 in rows of 544",
		`"kv_lora_rank": 512, "qk_rope_head_dim": 66`: "latent cache of rank 512 in rows of 578",
		`"kv_lora_rank": 33, "qk_rope_head_dim": 16`:  "latent cache of rank 33 in rows of 49",
	} {
		config := `{"model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "vocab_size": 48, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1,
"num_attention_heads": 2, "max_position_embeddings": 64, "q_lora_rank": null, "qk_nope_head_dim": 16, "v_head_dim": 16, "first_k_dense_replace": 1, ` + sizes + "}"
		check(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644))
		_, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: filepath.Join(dir, "x.plan"), Archs: []string{"sm89"}, Random: &seed})
		if err == nil || !strings.Contains(err.Error(), "target sm89: "+want+": GPU kernels take") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", sizes, err, want)
		}
	}
}

// cpuTargets lists the CPU targets that this machine runs.
func cpuTargets() (names []string) {
	for _, t := range engine.Targets {
		if t.Device == "cpu" && len(t.Missing()) == 0 {
			names = append(names, t.Name)
		}
	}
	return names
}

// A device that lacks a format is named, with those that it has.
func TestKVFormatOfOtherDevices(t *testing.T) {
	for archs, c := range map[string]struct{ format, text string }{
		"sm90":           {"f32", "target sm90 takes no KV cache of f32: give --kv-dtype one of bf16, f16, fp8, int8, int4, or build for other targets"},
		"x86-64-v4,sm80": {"f32", "target sm80 takes no KV cache of f32"},
	} {
		options := compiler.Options{Model: demo, Out: filepath.Join(t.TempDir(), "x.plan"), Archs: strings.Split(archs, ","), KVDType: c.format}
		if _, err := compiler.Build(context.Background(), options); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s of %s: %v", archs, c.format, err)
		}
	}
}

// A model that caches no keys and values takes no format for them, but the one that its states have.
func TestStatesHaveOneFormat(t *testing.T) {
	dir, seed := t.TempDir(), uint64(1)
	const config = `{"model_type": "mamba", "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "state_size": 4}`
	check(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644))
	for format, want := range map[string]string{"f32": "", compiler.Auto: "", "int8": "--kv-dtype int8: mamba models cache no keys and values", "bf16": "--kv-dtype bf16"} {
		_, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: filepath.Join(dir, "x.plan"), KVDType: format, Random: &seed})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", format, err, want)
		}
	}
}
