package engine

import (
	"strings"
	"testing"

	"llmc/internal/sym"
)

func TestAuxiliary(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p *Program)
		want   string
	}{
		"unknown":     {func(p *Program) { p.Auxiliary[0].Name = "later" }, "this release has none such"},
		"twice":       {func(p *Program) { p.Auxiliary = append(p.Auxiliary, p.Auxiliary[0]) }, "occurs twice"},
		"limit":       {func(p *Program) { p.Auxiliary[0].Code.Limit = Limit{sym.Of(sym.T), 8} }, "it must serve all"},
		"grid":        {func(p *Program) { p.Auxiliary[0].Code.Grid[1].Of = sym.Of(sym.B) }, "it may depend on T alone"},
		"divided":     {func(p *Program) { p.Auxiliary[0].Code.Grid[1].Per = 0 }, "grid"},
		"no entry":    {func(p *Program) { p.Auxiliary[0].Code.Entry = "a b" }, "not an identifier"},
		"no threads":  {func(p *Program) { p.Auxiliary[0].Code.Threads = 0 }, "0 threads"},
		"left out":    {func(p *Program) { p.Auxiliary = nil }, ""},
		"as it is":    {func(*Program) {}, ""},
		"on T, twice": {func(p *Program) { p.Auxiliary[0].Code.Grid[2] = Extent{sym.Of(sym.T).Scale(2), 3} }, ""},
	} {
		p := codeProgram()
		c.change(p)
		content, err := ProgramContent(p)
		if err != nil {
			t.Fatal(err)
		}
		_, err = decodeCode(content.Data)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
