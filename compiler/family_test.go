package compiler_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/internal/golden"
	"llmc/runtime/device/cpu"
)

// unknownPhi is a Phi whose config.json calls itself something that no built-in family knows, and a family file for it.
func unknownPhi(t *testing.T) (dir, family string) {
	t.Helper()
	dir = t.TempDir()
	check(t, os.CopyFS(dir, os.DirFS(golden.Shared(t, "checkpoints", "phi"))))
	rename := func(path, to, old, new string) {
		text, err := os.ReadFile(path)
		check(t, err)
		if !bytes.Contains(text, []byte(old)) {
			t.Fatalf("%s lacks %s", path, old)
		}
		check(t, os.WriteFile(to, bytes.ReplaceAll(text, []byte(old), []byte(new)), 0o644))
	}
	config := filepath.Join(dir, "config.json")
	rename(config, config, `"model_type": "phi"`, `"model_type": "own"`)
	rename(config, config, "PhiForCausalLM", "OwnForCausalLM")
	family = filepath.Join(t.TempDir(), "own.star")
	rename("../docs/families/phi.star", family, `"phi"`, `"own"`)
	rename(family, family, "PhiForCausalLM", "OwnForCausalLM")
	return dir, family
}

// TestFamilyFile wants a checkpoint of a family that is not built in to be compiled, run and compared by what a file says.
func TestFamilyFile(t *testing.T) {
	dir, family := unknownPhi(t)
	path := filepath.Join(t.TempDir(), "own.plan")
	build := compiler.Options{Model: dir, Out: path, Quant: "f32"}
	_, err := compiler.Build(t.Context(), build)
	wantText(t, err, `model_type: "own" is not supported`)

	build.Family = family
	_, err = compiler.Build(t.Context(), build)
	check(t, err)
	plan, err := engine.Open(path)
	check(t, err)
	defer plan.Close()
	model, err := (cpu.Device{}).Load(plan, compiler.VerifySettings())
	check(t, err)
	defer model.Close()
	g := readGolden(t, dir)
	g.checkAll(t, model, plan.Info().Vocab)

	_, err = compiler.Against(t.Context(), plan, model.(engine.Tracer), compiler.Original{Dir: dir})
	wantText(t, err, "was built with a family file (sha256:")
	_, err = compiler.Against(t.Context(), plan, model.(engine.Tracer), compiler.Original{Dir: dir, Family: "../docs/families/phi.star"})
	wantText(t, err, "was built with another family file")
	v, err := compiler.Against(t.Context(), plan, model.(engine.Tracer), compiler.Original{Dir: dir, Family: family})
	check(t, err)
	if !v.OK || v.Compared == 0 {
		t.Errorf("verification %+v", v)
	}

	again := filepath.Join(t.TempDir(), "again.plan")
	_, err = compiler.Refit(t.Context(), compiler.RefitOptions{Plan: path, Model: dir, Out: again, Family: family})
	check(t, err)
}

func wantText(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("error %v, want one with %q", err, part)
	}
}
