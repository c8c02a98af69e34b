package compiler

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// otherWeights copies a checkpoint and changes one byte of its last tensor's numbers, or edits config.json.
func otherWeights(t *testing.T, from string, edit func(config string) string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "config.json" {
			data = []byte(edit(string(data)))
		} else {
			data[len(data)-10] ^= 0x55
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const refitModel = "../testdata/checkpoints/qwen3-v5"

func asIs(config string) string { return config }

func TestRefitGivesTheBytesOfABuild(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	other := otherWeights(t, refitModel, asIs)
	for quant, archs := range map[string][]string{"f32": {"x86-64-v3"}, "bf16": {"x86-64-v3", "x86-64-v4"}, "int4": {"x86-64-v3", "sm90"}, "int8-w8a8": {"x86-64-v3", "sm80"}} {
		options := Options{Model: refitModel, Archs: archs, Quant: quant}
		old, built, refitted := filepath.Join(dir, "old"), filepath.Join(dir, "built"), filepath.Join(dir, "refitted")
		options.Out = old
		if _, err := Build(ctx, options); err != nil {
			t.Fatal(err)
		}
		options.Model, options.Out = other, built
		want, err := Build(ctx, options)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Refit(ctx, RefitOptions{Plan: old, Model: other, Out: refitted})
		if err != nil {
			t.Fatal(err)
		}
		a, errA := os.ReadFile(built)
		b, errB := os.ReadFile(refitted)
		if errA != nil || errB != nil || !bytes.Equal(a, b) || got.Digest != want.Digest {
			t.Errorf("%s: refit gives %s, build %s (%v, %v)", quant, got.Digest, want.Digest, errA, errB)
		}
		if before, _ := os.ReadFile(old); bytes.Equal(before, b) {
			t.Errorf("%s: the weights are still the old ones", quant)
		}
	}
}

func TestRefitRefusesOtherModels(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	old, out := filepath.Join(dir, "old"), filepath.Join(dir, "out")
	if _, err := Build(ctx, Options{Model: refitModel, Out: old, Archs: []string{"x86-64-v3"}}); err != nil {
		t.Fatal(err)
	}
	eps := otherWeights(t, refitModel, func(c string) string { return strings.Replace(c, "1e-06", "1e-05", 1) })
	for name, model := range map[string]string{"another epsilon": eps, "another family": "../testdata/checkpoints/llama-yarn"} {
		_, err := Refit(ctx, RefitOptions{Plan: old, Model: model, Out: out})
		if err == nil || !strings.Contains(err.Error(), "another computation") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: a plan was written", name)
		}
	}
}
