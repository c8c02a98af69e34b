package cuda

import (
	"slices"

	"llmc/engine"
)

// auxiliaries write the entries that a program of a target has beside those of its launches, by their names in engine.Auxiliaries.
var auxiliaries = []struct {
	name   string
	wanted func(p *engine.Program) bool
	build  func(c *Coder, name string) engine.Code
}{
	{engine.CopyPages, func(p *engine.Program) bool { return len(p.Caches) > 0 }, copyPages},
	{engine.BeginStep, samples, beginStep},
	{engine.CountTokens, samples, countTokens},
}

// samples tells whether a program samples its rows.
func samples(p *engine.Program) bool {
	return slices.ContainsFunc(p.Launches, func(l engine.Launch) bool { return l.Kernel == "cuda.sample_scan" })
}

// Auxiliary writes the entries that serve a program beside its launches, which are all there. Programs share them: they are specialised for nothing.
func (c *Coder) Auxiliary(p *engine.Program) []engine.Auxiliary {
	var all []engine.Auxiliary
	for _, a := range auxiliaries {
		if !a.wanted(p) {
			continue
		}
		code, ok := c.shared[a.name]
		if !ok {
			c.again = append(c.again, func() { a.build(c, a.name) })
			code = a.build(c, a.name)
			c.shared[a.name] = code
		}
		all = append(all, engine.Auxiliary{Name: a.name, Code: code})
	}
	return all
}
