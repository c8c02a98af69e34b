package ptx

import (
	"testing"

	"llmc/internal/ptxas"
)

// assembler is a ptxas binary and the newest PTX version that it reads.
type assembler struct {
	ptxas.Assembler
	version Version
}

func assemblers(t *testing.T) []assembler {
	t.Helper()
	var out []assembler
	for _, a := range ptxas.Find(t) {
		out = append(out, assembler{a, Version(a.Version)})
	}
	return out
}
