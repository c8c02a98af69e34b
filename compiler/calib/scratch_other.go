//go:build !unix

package calib

// scratchFile is memory where files are not mapped.
type scratchFile struct{ numbers []float32 }

func newScratchFile(_ string, n int64) (*scratchFile, error) {
	return &scratchFile{make([]float32, n)}, nil
}

func (s *scratchFile) close() error { s.numbers = nil; return nil }
