package cpu_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/engine/layout"
	"llmc/ir/interp"
	"llmc/runtime"
	"llmc/runtime/device/cpu"
	"llmc/runtime/device/devicetest"
)

// TestLogitsDoNotDependOnTheSchedule runs the same requests under hundreds of random schedules and wants the same bits each time.
func TestLogitsDoNotDependOnTheSchedule(t *testing.T) {
	for _, kv := range layout.KVTypes {
		t.Run(kv.String(), func(t *testing.T) {
			s := base
			s.kv = kv
			compareSchedules(t, s)
		})
	}
}

// TestCompiledPlansDoNotDependOnTheSchedule does the same with the bundled model, compiled in every kind of format for every target that
// this machine runs.
func TestCompiledPlansDoNotDependOnTheSchedule(t *testing.T) {
	for _, format := range []string{"bf16", "int8", "int4", "int4-g64-zp"} {
		for _, target := range engine.Targets {
			if target.Device != "cpu" || len(target.Missing()) > 0 || testing.Short() && target.Name != "x86-64-v3" {
				continue
			}
			t.Run(format+"/"+target.Name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "demo.plan")
				_, err := compiler.Build(t.Context(), compiler.Options{Model: "../../../testdata/demo", Out: path, Quant: format, Archs: []string{target.Name}})
				check(t, err)
				compareRuns(t, path, 1024, 384, 8)
			})
		}
	}
}

// stateConfig is a model that keeps states: of a prompt of some pages, of one token, of what others began alike.
const stateConfig = `{"model_type": "mamba", "architectures": ["MambaForCausalLM"], "vocab_size": 96, "hidden_size": 32, "intermediate_size": 80,
	"num_hidden_layers": 2, "state_size": 5, "conv_kernel": 3, "time_step_rank": 3, "use_bias": true}`

// statePlan builds a plan of it with made-up weights.
func statePlan(t *testing.T, format, target string) string {
	t.Helper()
	dir, seed := t.TempDir(), uint64(4)
	check(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(stateConfig), 0o644))
	path := filepath.Join(dir, "state.plan")
	_, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: path, Quant: format, Archs: []string{target}, Random: &seed})
	check(t, err)
	return path
}

// TestStatesDoNotDependOnTheSchedule does the same with a model that keeps states, of which every page holds one.
func TestStatesDoNotDependOnTheSchedule(t *testing.T) {
	for format, target := range map[string]string{"f32": "x86-64-v3", "int8": "native"} {
		t.Run(format, func(t *testing.T) { compareRuns(t, statePlan(t, format, target), 96, 128, 40) })
	}
}

// Guesses that were wrong would stay in a state: whoever asks for them is told so.
func TestStatesTakeNoGuesses(t *testing.T) {
	plan, err := engine.Open(statePlan(t, "bf16", "native"))
	check(t, err)
	defer plan.Close()
	if _, err := (cpu.Device{}).Load(plan, engine.Settings{Drafts: 1}); !errors.Is(err, engine.ErrNoDrafts) {
		t.Errorf("loaded for guesses: %v", err)
	}
	model, err := (cpu.Device{}).Load(plan, engine.Settings{})
	check(t, err)
	defer model.Close()
	if settings, _ := model.Limits(); settings.PageSize != 256 {
		t.Errorf("pages of %d positions", settings.PageSize)
	}
	loaded := &runtime.Loaded{Plan: plan, Model: model}
	if _, err := loaded.LoadDraft(plan.Path(), "cpu", engine.Settings{}); !errors.Is(err, engine.ErrNoDrafts) {
		t.Errorf("loaded to guess: %v", err)
	}
}

// wideLatent is a config.json whose latent rows, and what values are of them, are whole tiles of channels.
const wideLatent = `{"model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "vocab_size": 47, "hidden_size": 64, "intermediate_size": 80,
"num_hidden_layers": 2, "num_attention_heads": 8, "max_position_embeddings": 512, "kv_lora_rank": 96, "q_lora_rank": null, "qk_nope_head_dim": 16,
"qk_rope_head_dim": 32, "v_head_dim": 24, "first_k_dense_replace": 2}`

// TestLatentAttentionDoesNotDependOnTheSchedule does the same with rows that all heads share, in caches of every kind, on every target that this machine
// runs. In a plain run kinds take turns with targets, but where tiles may multiply; with LLMC_LONG each target has all.
func TestLatentAttentionDoesNotDependOnTheSchedule(t *testing.T) {
	wide, seed := t.TempDir(), uint64(5)
	check(t, os.WriteFile(filepath.Join(wide, "config.json"), []byte(wideLatent), 0o644))
	formats := []string{"bf16", "int8", "int4", "f32"}
	for n, target := range engine.Targets {
		if target.Device != "cpu" || len(target.Missing()) > 0 || testing.Short() && target.Name != "x86-64-v3" {
			continue
		}
		for i, kv := range []string{"f32", "bf16", "f16", "fp8", "int8"} {
			for j, name := range []string{"deepseek-v2", "deepseek-v3-v5", "wide"} {
				tiles := name == "wide" && target.Name == "x86-64-v4-amx" && (kv == "bf16" || kv == "int8")
				if os.Getenv("LLMC_LONG") == "" && (n+i+2*j)%5 != 0 && !tiles {
					continue
				}
				t.Run(target.Name+"/"+kv+"/"+name, func(t *testing.T) {
					path := filepath.Join(t.TempDir(), "latent.plan")
					options := compiler.Options{Model: "../../../testdata/checkpoints/" + name, Out: path, Quant: formats[(n+i)%len(formats)], KVDType: kv, Archs: []string{target.Name}}
					if name == "wide" {
						options.Model, options.Random = wide, &seed
					}
					_, err := compiler.Build(t.Context(), options)
					check(t, err)
					compareRuns(t, path, 47, 384, 2)
				})
			}
		}
	}
}

// mixture is a config.json whose layers are mixtures of experts, each of several panels.
const mixture = `{"model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "vocab_size": 96, "hidden_size": 96, "intermediate_size": 80,
"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "num_local_experts": 5,
"num_experts_per_tok": 2}`

// TestMixturesDoNotDependOnTheSchedule does the same where rows go to experts, whose kernels take as many as a step sends there.
func TestMixturesDoNotDependOnTheSchedule(t *testing.T) {
	dir, seed := t.TempDir(), uint64(4)
	check(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(mixture), 0o644))
	for i, format := range []string{"int4", "f32", "int4-g64-zp", "bf16", "int8"} {
		for j, target := range engine.Targets {
			if target.Device != "cpu" || len(target.Missing()) > 0 || os.Getenv("LLMC_LONG") == "" && j%5 != i {
				continue
			}
			t.Run(format+"/"+target.Name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "mixture.plan")
				_, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: path, Quant: format, Random: &seed, Archs: []string{target.Name}})
				check(t, err)
				compareRuns(t, path, 96, 256, 6)
			})
		}
	}
}

func compareSchedules(t *testing.T, s shape) {
	m := s.module(t)
	weights, err := interp.NewRandomWeights(m, 3)
	check(t, err)
	lowerPlainly(m)
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	compareRuns(t, write(t, m, weights, s.info()), s.vocab, 128, rounds)
}

// compareRuns opens a plan and runs its schedules.
func compareRuns(t *testing.T, path string, vocab, context, rounds int) {
	t.Helper()
	plan, err := engine.Open(path)
	check(t, err)
	defer plan.Close()
	devicetest.Schedules(t, cpu.Device{}, plan, vocab, context, rounds)
	if context == 128 {
		devicetest.Serve(t, cpu.Device{}, plan)
	}
}
