package engine

import (
	"strings"
	"testing"

	"llmc/internal/sym"
)

// adaptedProgram is codeProgram with entries for steps with adapters.
func adaptedProgram() *Program {
	p := codeProgram()
	p.Adapted = []Adapted{{Launch: 3, Modules: 2, Down: code("down_1", sym.Of(sym.T), sym.Of(sym.R), 1, 256, 0)[0], Code: code("adapted_1", sym.Const(3), sym.Of(sym.R), 16, 256, 0)}}
	return p
}

func TestAdapted(t *testing.T) {
	for name, c := range map[string]struct {
		change func(a *Adapted, p *Program)
		want   string
	}{
		"as it is":     {func(*Adapted, *Program) {}, ""},
		"no launch":    {func(a *Adapted, _ *Program) { a.Launch = 4 }, "launches ascend"},
		"below 0":      {func(a *Adapted, _ *Program) { a.Launch = -1 }, "launches ascend"},
		"twice":        {func(a *Adapted, p *Program) { p.Adapted = append(p.Adapted, *a) }, "launches ascend"},
		"no product":   {func(a *Adapted, _ *Program) { a.Launch = 2 }, "takes no adapters"},
		"no modules":   {func(a *Adapted, _ *Program) { a.Modules = 0 }, "0 modules, outside 1 to 4"},
		"many modules": {func(a *Adapted, _ *Program) { a.Modules = 5 }, "5 modules, outside 1 to 4"},
		"limit":        {func(a *Adapted, _ *Program) { a.Down.Limit = Limit{sym.Of(sym.T), 8} }, "it must serve all"},
		"grid":         {func(a *Adapted, _ *Program) { a.Down.Grid[2].Of = sym.Of(sym.B) }, "it may depend on T and R alone"},
		"no entry":     {func(a *Adapted, _ *Program) { a.Down.Entry = "a b" }, "not an identifier"},
		"no entries":   {func(a *Adapted, _ *Program) { a.Code = nil }, "no entries"},
		"no last one":  {func(a *Adapted, _ *Program) { a.Code[0].Limit = Limit{sym.Of(sym.R), 8} }, "all entries but the last one have a limit"},
		"early":        {func(a *Adapted, _ *Program) { a.Down.Early = true }, "has no early entries"},
	} {
		p := adaptedProgram()
		c.change(&p.Adapted[0], p)
		content, err := ProgramContent(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeCode(content.Data)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err == nil && (got.AdaptedOf(3) == nil || got.AdaptedOf(2) != nil || got.AdaptedOf(3).Rows(got) != sym.Of(sym.R)) {
			t.Errorf("%s: %+v", name, got.Adapted)
		}
	}
}
