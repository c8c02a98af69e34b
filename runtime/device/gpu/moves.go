package gpu

import (
	"fmt"

	"llmc/engine"
)

// PageFormat implements engine.PageMover.
func (m *Model) PageFormat() string {
	return fmt.Sprintf("gpu %s, pages of %d", m.limits.Target, m.limits.PageSize)
}

// PageBytes implements engine.PageMover.
func (m *Model) PageBytes() int { return int(m.pool.pageBytes) }

// ReadPage implements engine.PageMover.
func (m *Model) ReadPage(page int32, to []byte) error { return m.movePage(page, to, Memory.Read) }

// WritePage implements engine.PageMover.
func (m *Model) WritePage(page int32, from []byte) error {
	return m.movePage(page, from, Memory.Write)
}

func (m *Model) movePage(page int32, moved []byte, move func(of Memory, offset int64, data []byte) error) error {
	if page < 0 || int(page) >= m.limits.Pages || len(moved) != m.PageBytes() {
		return fmt.Errorf("page %d in %d bytes: there are %d pages of %d", page, len(moved), m.limits.Pages, m.PageBytes())
	}
	m.turn.Lock()
	defer m.turn.Unlock()
	if m.closed {
		return errClosed
	}
	return move(m.pool.mem, int64(page)*m.pool.pageBytes, moved)
}

var _ engine.PageMover = (*Model)(nil)
