package compiler_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime/device/cpu"
	"llmc/runtime/device/emu"
)

// verified builds a plan of the checkpoint in dir and compares it with the one in against.
func verified(t *testing.T, dir, against, format string) *compiler.Verification {
	return verifiedOn(t, cpu.Device{}, "native", dir, against, format)
}

// verifiedOn does so for a target, on a device.
func verifiedOn(t *testing.T, device engine.Device, target, dir, against, format string) *compiler.Verification {
	t.Helper()
	return verifiedPlan(t, device, planOf(t, target, dir, format), against)
}

// planOf builds and opens a plan.
func planOf(t *testing.T, target, dir, format string) *engine.Plan {
	t.Helper()
	path := filepath.Join(t.TempDir(), "engine.plan")
	_, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: path, Quant: format, Archs: []string{target}})
	check(t, err)
	plan, err := engine.Open(path)
	check(t, err)
	t.Cleanup(func() { plan.Close() })
	return plan
}

func verifiedPlan(t *testing.T, device engine.Device, plan *engine.Plan, against string) *compiler.Verification {
	t.Helper()
	model, err := device.Load(plan, compiler.VerifySettings())
	check(t, err)
	defer model.Close()
	v, err := compiler.Against(t.Context(), plan, model.(engine.Tracer), compiler.Original{Dir: against})
	check(t, err)
	return v
}

// verifyFormats are those that TestVerify goes through.
var verifyFormats = []string{"f32", "bf16", "int8", "int4-g32", "int4-nested", "int4-nested-a8", "int4-g128-zp", "int8-w8a8", "int4-g32-a8"}

// TestVerify wants every plan within the tolerances, which the formats of weights have no part in.
func TestVerify(t *testing.T) {
	for i, format := range verifyFormats {
		for n, g := range checkpoints(t) {
			if !g.takes(n, i, len(verifyFormats)) {
				continue
			}
			t.Run(format+"/"+filepath.Base(g.dir), func(t *testing.T) {
				v := verified(t, g.dir, g.dir, format)
				if !v.OK || v.FirstBadLayer != nil || v.FirstBadWeight != "" || !(v.MaxErr <= 2e-2) {
					t.Errorf("%+v", *v)
				}
			})
		}
	}
}

// thorough asks for all combinations of what tests otherwise take turns with.
func thorough() bool { return os.Getenv("LLMC_LONG") != "" }

var (
	emulatedTargets = []string{"sm80", "sm89", "sm90"}
	emulatedFormats = []string{"bf16", "int8", "fp8", "int4-g32", "int4-g64", "int4-g128-zp", "f16", "int8-w8a8", "fp8-tensor", "fp8-block"}
)

// emulatedToo are checkpoints of families beyond those of everyFormat that plain runs take to the emulator.
var emulatedToo = []string{"gemma2", "gpt2-bare", "olmo2", "gpt-oss", "llama4-text", "mamba"}

// latentToo are those of latent attention. The first goes to every target in bf16 beside its turn, the others to one each; with LLMC_LONG all go to all.
var latentToo = []string{"deepseek-v3", "deepseek-v2", "deepseek-v3-v5"}

// TestVerifyEmulated wants the same of GPU programs, which the emulator runs. Checkpoints go through one target and one
// format each, in turn; with LLMC_LONG all go through all pairs. Of families beyond those of everyFormat only some are taken without it.
func TestVerifyEmulated(t *testing.T) {
	targets, formats := emulatedTargets, emulatedFormats
	for n, g := range checkpoints(t) {
		name := filepath.Base(g.dir)
		latent := slices.Contains(latentToo, name)
		if !g.thorough && !thorough() && !latent && !slices.Contains(emulatedToo, name) {
			continue
		}
		if twin := strings.HasSuffix(name, "-v5") || strings.HasPrefix(name, "draft-"); twin && !thorough() { // the kernels of another
			continue
		}
		for i, target := range targets {
			for k, format := range formats {
				if turn := (n+i)%len(formats) == k && n%len(targets) == i; !turn && !thorough() && (format != "bf16" || !latent || name != latentToo[0] && n%len(targets) != i) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", target, format, name), func(t *testing.T) {
					v := verifiedOn(t, emu.Device{}, target, g.dir, g.dir, format)
					if !v.OK || !(v.MaxErr <= 2e-2) {
						t.Errorf("%+v", *v)
					}
				})
			}
		}
	}
}

// TestVerifyEmulatedLengths wants it of models whose rotary frequencies depend on the length: of those of the repository, which are read in
// the regime of short sequences, and of the same weights where the sequence is a long one. That makes a difference, which verification sees.
func TestVerifyEmulatedLengths(t *testing.T) {
	for _, c := range []struct{ name, limit, lower string }{
		{"llama-longrope", `"original_max_position_embeddings": 40`, `"original_max_position_embeddings": 20`},
		{"llama-dynamic", `"max_position_embeddings": 48`, `"max_position_embeddings": 20`},
	} {
		short := filepath.Join("../testdata/checkpoints", c.name)
		long := t.TempDir()
		for _, name := range []string{"config.json", "model.safetensors"} {
			data, err := os.ReadFile(filepath.Join(short, name))
			check(t, err)
			if name == "config.json" {
				if !bytes.Contains(data, []byte(c.limit)) {
					t.Fatalf("%s: no %s", c.name, c.limit)
				}
				data = bytes.ReplaceAll(data, []byte(c.limit), []byte(c.lower))
			}
			check(t, os.WriteFile(filepath.Join(long, name), data, 0o644))
		}
		for i, target := range []string{"sm80", "sm89", "sm90"} {
			format := []string{"bf16", "int8", "int4-g32"}[i]
			for _, dir := range []string{short, long} {
				if dir == short && i > 0 && !thorough() {
					continue // there it is the model that TestVerifyEmulated has in many kinds
				}
				t.Run(fmt.Sprintf("%s/%s/%s/%v", c.name, target, format, dir == long), func(t *testing.T) {
					v := verifiedOn(t, emu.Device{}, target, dir, dir, format)
					if !v.OK || !(v.MaxErr <= 2e-2) {
						t.Errorf("%+v", *v)
					}
				})
			}
		}
		if v := verifiedOn(t, emu.Device{}, "sm80", long, short, "bf16"); v.OK {
			t.Errorf("%s: long and short sequences are alike: %+v", c.name, *v)
		}
	}
}

// damage copies a checkpoint and changes one of its files.
func damage(t *testing.T, dir, file string, change func([]byte)) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		check(t, err)
		if name == file {
			change(data)
		}
		check(t, os.WriteFile(filepath.Join(to, name), data, 0o644))
	}
	return to
}

// TestVerifyFinds wants a checkpoint that differs in a weight, or in how it is computed, to be told from the plan's.
func TestVerifyFinds(t *testing.T) {
	const dir = "../testdata/demo"
	replace := func(data []byte, old, new string) {
		at := bytes.Index(data, []byte(old))
		if at < 0 || len(old) != len(new) {
			t.Fatalf("no %q in the file", old)
		}
		copy(data[at:], new)
	}
	const q, o, spare = "layers.2.self_attn.q_proj", "layers.2.self_attn.o_proj", "layers.2.self_attn.x_proj"
	plans := map[string]*engine.Plan{}
	formats := []string{"f32", "bf16", "int8", "int4"}
	for _, format := range formats {
		plans[format] = planOf(t, "native", dir, format)
	}
	for j, c := range []struct {
		name, file string
		change     func([]byte)
		layer      int
		weight     bool
	}{
		{"a bit of the last norm", "model.safetensors", func(d []byte) { d[len(d)-1] ^= 0x40 }, 4, true},
		{"two matrices swapped", "model.safetensors", func(d []byte) { replace(d, q, spare); replace(d, o, q); replace(d, spare, o) }, 2, true},
		// These show whatever the format: where numbers are exact, and where they are least so.
		{"rotary base", "config.json", func(d []byte) { replace(d, `"rope_theta": 10000.0`, `"rope_theta": 500.000`) }, 0, false},
		{"epsilon", "config.json", func(d []byte) { replace(d, `"rms_norm_eps": 1e-05`, `"rms_norm_eps": 1e-01`) }, 0, false},
	} {
		damaged := damage(t, dir, c.file, c.change)
		for i, format := range formats {
			if c.weight && (i+j)%2 != 0 && !thorough() { // each format with one of the weights
				continue
			}
			if !c.weight && i > 0 && i < len(formats)-1 && !thorough() {
				continue
			}
			t.Run(c.name+"/"+format, func(t *testing.T) {
				v := verifiedPlan(t, cpu.Device{}, plans[format], damaged)
				if v.OK || v.FirstBadLayer == nil || *v.FirstBadLayer != c.layer || (v.FirstBadWeight != "") != c.weight || v.PassesBad == c.weight {
					t.Errorf("%+v", *v)
				}
			})
		}
	}
}

// TestVerifyFindsCoarse wants it where inputs are rounded to 4 bits, too.
func TestVerifyFindsCoarse(t *testing.T) {
	const dir = "../testdata/checkpoints/qwen3-v5"
	changed := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		check(t, err)
		check(t, os.WriteFile(filepath.Join(changed, name), bytes.Replace(data, []byte(`"rope_theta": 3`), []byte(`"rope_theta": 5`), 1), 0o644))
	}
	if v := verifiedOn(t, emu.Device{}, "sm89", dir, dir, "fp8"); !v.OK {
		t.Errorf("%+v", *v)
	}
	if v := verifiedOn(t, emu.Device{}, "sm89", dir, changed, "fp8"); v.OK || v.FirstBadLayer == nil || *v.FirstBadLayer != 0 {
		t.Errorf("%+v", *v)
	}
}
