package registry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnlyPlan has directories as volumes are, with hidden ones of the system beside the plan.
func TestOnlyPlan(t *testing.T) {
	dir := t.TempDir()
	if _, err := onlyPlan(dir); err == nil || !strings.Contains(err.Error(), "without a file called *.plan") {
		t.Errorf("an empty directory: %v", err)
	}
	for _, name := range []string{"..data", "lost+found"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"README.md", "x.plan"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := filepath.Join(dir, "x.plan")
	for _, arg := range []string{dir, dir + "/", want} {
		if got, err := onlyPlan(arg); got != want || err != nil {
			t.Errorf("%s: %q, %v", arg, got, err)
		}
	}
	if got, err := onlyPlan(filepath.Join(dir, "y.plan")); got != filepath.Join(dir, "y.plan") || err != nil {
		t.Errorf("what is not there: %q, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "y.plan"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := onlyPlan(dir); err == nil || !strings.Contains(err.Error(), "2 plans") {
		t.Errorf("two plans: %v", err)
	}
}
