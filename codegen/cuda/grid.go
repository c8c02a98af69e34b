package cuda

import (
	"llmc/engine"
	"llmc/internal/sym"
)

// perRow gives a CTA to each row of a result.
func perRow(role string) func(e *entry) [3]engine.Extent {
	return func(e *entry) [3]engine.Extent { return grid(engine.Extent{Of: e.buffer(role).Rows, Per: 1}) }
}

func constant(n int) sym.Dim { return sym.Const(int64(n)) }

// grid fills dimensions that are not given with one.
func grid(extents ...engine.Extent) [3]engine.Extent {
	out := [3]engine.Extent{}
	for i := range out {
		out[i] = engine.Extent{Of: sym.Const(1), Per: 1}
		if i < len(extents) {
			out[i] = extents[i]
		}
	}
	return out
}
