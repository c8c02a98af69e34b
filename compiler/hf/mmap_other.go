//go:build !unix

package hf

import "os"

// mapping stands in for a memory map where there is none: it reads the bytes that are asked for.
type mapping struct{ file *os.File }

func mapFile(file *os.File, _ int64) (*mapping, error) {
	again, err := os.Open(file.Name())
	return &mapping{again}, err
}

// view calls use with bytes [offset, offset+n).
func (m *mapping) view(offset, n int64, use func([]byte)) error {
	buf := make([]byte, n)
	if _, err := m.file.ReadAt(buf, offset); err != nil {
		return err
	}
	use(buf)
	return nil
}

func (m *mapping) release(offset, n int64) {}

func (m *mapping) close() error { return m.file.Close() }
