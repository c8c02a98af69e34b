package compiler_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/buildcache"
	"llmc/engine"
	"llmc/internal/cachedir"
	"llmc/internal/cli"
)

// demoCopy is a checkpoint that a test may change.
func demoCopy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	check(t, os.CopyFS(dir, os.DirFS("../testdata/demo")))
	return dir
}

// cached opens a cache of the test's own.
func cached(t *testing.T) *buildcache.Cache {
	t.Helper()
	cache, err := buildcache.Open()
	check(t, err)
	return cache
}

func built(t *testing.T, o compiler.Options) (*compiler.Report, []byte) {
	t.Helper()
	report, err := compiler.Build(t.Context(), o)
	check(t, err)
	data, err := os.ReadFile(o.Out)
	check(t, err)
	return report, data
}

// changeByte changes a file in place.
func changeByte(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	check(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b[:], at)
	check(t, errors.Join(err, f.Close()))
}

// TestCachedPlanIsTheSame builds again what has not changed, and what has, and compares with builds without a cache.
func TestCachedPlanIsTheSame(t *testing.T) {
	t.Setenv(cachedir.Variable, t.TempDir())
	model, dir := demoCopy(t), t.TempDir()
	o := compiler.Options{Model: model, Archs: []string{"x86-64-v3"}, Quant: "int4"}
	want := map[string][]byte{}
	for _, quant := range []string{"int4", "int8"} {
		fresh := o
		fresh.Quant, fresh.Out = quant, filepath.Join(dir, "fresh.plan")
		_, want[quant] = built(t, fresh)
	}
	o.Cache = cached(t)
	first, second := filepath.Join(dir, "a.plan"), filepath.Join(dir, "b.plan")
	damaged := func(path string) func() { return func() { changeByte(t, path, 4096) } }
	kept := func() string {
		found, _ := filepath.Glob(filepath.Join(os.Getenv(cachedir.Variable), "builds", "*", "plan"))
		if len(found) == 0 {
			t.Fatal("nothing is kept")
		}
		return found[0]
	}
	for _, step := range []struct {
		name, out, quant, cached string
		before                   func()
	}{
		{"first", first, "int4", "", nil},
		{"the same", first, "int4", compiler.CachedInPlace, nil},
		{"another name", second, "int4", compiler.CachedCopy, nil},
		{"another name again", second, "int4", compiler.CachedInPlace, nil},
		{"the output was changed", second, "int4", compiler.CachedCopy, damaged(second)},
		{"the output that is kept was changed", first, "int4", "", damaged(first)},
		{"the output was removed", first, "int4", compiler.CachedCopy, func() { check(t, os.Remove(first)) }},
		{"the checkpoint was touched", first, "int4", compiler.CachedInPlace, func() {
			data, _ := os.ReadFile(model + "/config.json")
			check(t, os.WriteFile(model+"/config.json", data, 0o600))
		}},
		{"the kept plan was damaged", first, "int4", "", func() { changeByte(t, kept(), 1<<20); check(t, os.Remove(first)) }},
		{"and was kept again", second, "int4", compiler.CachedCopy, func() { check(t, os.Remove(second)) }},
		{"another option", first, "int8", "", nil},
		{"the record is no record", second, "int4", "", func() {
			all, _ := filepath.Glob(filepath.Join(os.Getenv(cachedir.Variable), "builds", "*", "record.json"))
			for _, path := range all {
				check(t, os.WriteFile(path, []byte(`{"digest": 3`), 0o600))
			}
		}},
	} {
		if step.before != nil {
			step.before()
		}
		o.Out, o.Quant = step.out, step.quant
		report, data := built(t, o)
		if report.Cached != step.cached || !bytes.Equal(data, want[step.quant]) || report.Quant == "" || report.PlanBytes != int64(len(data)) {
			t.Errorf("%s: %q instead of %q, bytes are the same: %v, report %+v", step.name, report.Cached, step.cached, bytes.Equal(data, want[step.quant]), report)
		}
	}
	changeByte(t, filepath.Join(model, "model.safetensors"), 100000)
	if report, data := built(t, o); report.Cached != "" || bytes.Equal(data, want["int4"]) {
		t.Errorf("another checkpoint: %q, the same bytes: %v", report.Cached, bytes.Equal(data, want["int4"]))
	}
}

// TestCachedWeights builds what has other code, or a program more, of weights that are there, and compares with builds without a cache.
func TestCachedWeights(t *testing.T) {
	t.Setenv(cachedir.Variable, t.TempDir())
	for _, c := range []struct {
		archs    []string
		disabled []string
	}{
		{[]string{"x86-64-v3"}, nil}, {[]string{"sm80", "x86-64-v3"}, nil}, {[]string{"x86-64-v4"}, []string{"fuse-add-norm"}},
	} {
		o := compiler.Options{Model: "../testdata/demo", Archs: c.archs, Quant: "int4", Disabled: c.disabled, Out: filepath.Join(t.TempDir(), "x.plan")}
		_, want := built(t, o)
		o.Cache = cached(t)
		if report, data := built(t, o); report.Cached != "" || !bytes.Equal(data, want) {
			t.Errorf("%v without %v: %q, the same bytes: %v", c.archs, c.disabled, report.Cached, bytes.Equal(data, want))
		}
	}
}

// TestCacheHoldsToGate wants a rule that a kept plan breaks to leave what was there.
func TestCacheHoldsToGate(t *testing.T) {
	t.Setenv(cachedir.Variable, t.TempDir())
	o := compiler.Options{Model: "../testdata/demo", Archs: []string{"x86-64-v3"}, Quant: "int4", Out: filepath.Join(t.TempDir(), "x.plan"), Cache: cached(t)}
	built(t, o)
	o.Out = filepath.Join(t.TempDir(), "y.plan")
	o.Gate = compiler.Gate{{Figure: "weight_error", Bound: 1e-6}}
	_, err := compiler.Build(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "the worst weights are of") {
		t.Errorf("gate: %v", err)
	}
	if _, err := os.Stat(o.Out); err == nil {
		t.Error("a plan that breaks the gate was copied")
	}
}

// TestCacheWithoutRoom builds all the same, and keeps within its bound.
func TestCacheWithoutRoom(t *testing.T) {
	t.Setenv(cachedir.Variable, t.TempDir())
	t.Setenv(cachedir.SizeVariable, "64K")
	o := compiler.Options{Model: "../testdata/demo", Archs: []string{"x86-64-v3"}, Quant: "int4", Out: filepath.Join(t.TempDir(), "x.plan"), Cache: cached(t), Progress: &cli.Progress{}}
	built(t, o)
	if again, _ := built(t, o); again.Cached != "" {
		t.Errorf("a plan for which there was no room is %s", again.Cached)
	}
	if found, _ := filepath.Glob(filepath.Join(os.Getenv(cachedir.Variable), "builds", "*", "plan")); len(found) > 0 {
		t.Errorf("kept: %v", found)
	}
}

// TestCalibrationIsKept builds for other targets with the codes of an earlier build, without running the model, and compares with builds of their own.
func TestCalibrationIsKept(t *testing.T) {
	t.Setenv(cachedir.Variable, t.TempDir())
	runs := 0
	calibration := &compiler.Calibration{Text: demoText(t), Method: "rtn", Open: func(path string, s engine.Settings) (engine.PartTracer, error) {
		runs++
		return openPlan(path, s)
	}}
	base := compiler.Options{Model: "../testdata/demo", Quant: "int4-g64", Calibration: calibration}
	build := func(cache *buildcache.Cache, archs ...string) ([]byte, int) {
		o := base
		o.Archs, o.Out, o.Cache, runs = archs, filepath.Join(t.TempDir(), "x.plan"), cache, 0
		_, data := built(t, o)
		return data, runs
	}
	cache := cached(t)
	_, ran := build(cache, "x86-64-v3")
	if ran != 2 {
		t.Errorf("the first build opens %d models, not the original and the plan", ran)
	}
	want, _ := build(nil, "sm80")
	got, ran := build(cache, "sm80")
	if ran != 0 || !bytes.Equal(got, want) {
		t.Errorf("for another target %d models are opened, the same bytes: %v", ran, bytes.Equal(got, want))
	}
	base.Quant, base.Budget = "", compiler.Budget{Bits: 5}
	build(cache, "x86-64-v3")
	base.KVDType = "int8"
	want, _ = build(nil, "x86-64-v3")
	got, ran = build(cache, "x86-64-v3")
	if ran != 0 || !bytes.Equal(got, want) {
		t.Errorf("with formats under a budget %d models are opened, the same bytes: %v", ran, bytes.Equal(got, want))
	}
	all, _ := filepath.Glob(filepath.Join(os.Getenv(cachedir.Variable), "codes", "*", "codes"))
	if len(all) != 2 {
		t.Fatalf("codes of %d calibrations", len(all))
	}
	key := filepath.Base(filepath.Dir(all[0]))
	found := cache.FindCodes(key)
	if found == nil {
		t.Fatal("the codes are not found")
	}
	check(t, found.Close())
	changeByte(t, all[0], 1000)
	if cache.FindCodes(key) != nil {
		t.Error("damaged codes are taken")
	}
}
