package ptx

import "testing"

func example(t *testing.T, target Target, build func(*Module)) string {
	t.Helper()
	m := NewModule(target)
	build(m)
	text, err := m.Print()
	if err != nil {
		t.Fatal(err)
	}
	if m.Raw() != 0 {
		t.Errorf("%d raw instructions", m.Raw())
	}
	return text
}

var examples = []struct {
	name   string
	target Target
	build  func(*Module)
}{
	{"rmsnorm", SM80, rmsnorm},
	{"gemm_tile", SM80, gemmTile},
	{"wgmma_tile", SM90a, wgmmaTile},
}

func TestExamples(t *testing.T) {
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) { t.Log(example(t, e.target, e.build)) })
	}
}

func TestExamplesAssemble(t *testing.T) {
	for _, a := range assemblers(t) {
		for _, e := range examples {
			for _, u := range a.Assemble(t, example(t, e.target, e.build), e.target.Name) {
				if u.Spills != 0 || u.Stack != 0 {
					t.Errorf("%s with ptxas %s: %d bytes spilled, %d of stack", e.name, a.Release, u.Spills, u.Stack)
				}
				t.Logf("%s with ptxas %s: %d registers", e.name, a.Release, u.Registers)
			}
		}
	}
}
