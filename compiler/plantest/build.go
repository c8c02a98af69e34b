// Package plantest builds plans for tests. Only tests import it.
package plantest

import (
	"path/filepath"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/internal/golden"
)

// Demo is the bundled model.
const Demo = "demo"

// Build compiles a model of testdata, such as Demo, as options say, and opens the plan for the time of the test.
func Build(t testing.TB, model string, options compiler.Options) *engine.Plan {
	t.Helper()
	options.Model, options.Out = filepath.Join(golden.Root(t), "testdata", model), filepath.Join(t.TempDir(), "engine.plan")
	return open(t, options)
}

// open builds a plan and opens it for the time of the test.
func open(t testing.TB, options compiler.Options) *engine.Plan {
	t.Helper()
	if _, err := compiler.Build(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	plan, err := engine.Open(options.Out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plan.Close() })
	return plan
}
