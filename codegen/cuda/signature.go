package cuda

import (
	"fmt"
	"strings"

	"llmc/engine"
)

// signature tells apart launches that need entries of their own.
func (e *entry) signature() string {
	var s strings.Builder
	s.WriteString(e.launch.Kernel)
	for _, a := range e.launch.Attrs {
		if a.Name != "layer" { // part of the cache's address
			fmt.Fprintf(&s, " %s=%v,%v,%s", a.Name, a.Int, a.Float, a.Text)
		}
	}
	for _, role := range e.kernel.Roles {
		fmt.Fprintf(&s, " %s:", role.Name)
		switch o := e.kernel.Operand(e.launch, role.Name); o.Kind {
		case engine.OperandBuffer:
			b := e.program.Buffers[o.Index]
			fmt.Fprintf(&s, "%s[%v,%d]/%d", b.TypeName(), b.Rows, b.Cols, b.Stride)
			if !e.wholeVectors(role.Name) {
				s.WriteString("+")
			}
		case engine.OperandWeight:
			fmt.Fprintf(&s, "%v", e.weight(role.Name).Type)
		case engine.OperandCache:
			c := e.program.Caches[o.Index]
			fmt.Fprintf(&s, "%v[%d,%d]", c.DType, c.KVHeads, c.Dim)
			if c.Rank > 0 {
				fmt.Fprintf(&s, "/%d", c.Rank)
			}
		default:
			s.WriteString(o.Kind.String())
		}
	}
	return s.String()
}
