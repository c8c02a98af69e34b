package gpu

import (
	"encoding/binary"

	"llmc/engine"
)

// copyBatch is how many pages are copied at a time: the list has that much room on the device.
const copyBatch = 256

// takeCopyList allocates the list of pages where the program has an entry that reads it.
func (m *Model) takeCopyList(a allocator) (err error) {
	if m.program.FindAuxiliary(engine.CopyPages) != nil && m.pool.pageBytes%16 == 0 {
		m.copyList, err = a.Alloc("pages to copy", 8*copyBatch)
	}
	return err
}

// newCopier binds the program's entry that copies pages; nil where it has none.
func (m *Model) newCopier(code Code) (*auxiliary, error) {
	if m.copyList == nil {
		return nil, nil
	}
	return newAuxiliary(code, m.program.FindAuxiliary(engine.CopyPages), m.pool.mem.Addr(), m.copyList.Addr(), 0, uint64(m.pool.pageBytes))
}

// CopyPages copies KV pages in every layer and cache, as they are. The list may not write a page twice, nor one that it reads.
func (m *Model) CopyPages(list []engine.PageCopy) error {
	if err := engine.CheckCopies(list, m.limits.Pages); err != nil {
		return err
	}
	m.turn.Lock()
	defer m.turn.Unlock()
	for len(list) > 0 {
		n := min(len(list), copyBatch)
		if err := m.copyPages(list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

func (m *Model) copyPages(list []engine.PageCopy) error {
	if m.copier == nil {
		return m.copyThroughHost(list)
	}
	words := make([]byte, 0, 8*copyBatch)
	for _, p := range list {
		words = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(words, uint32(p.From)), uint32(p.To))
	}
	if err := m.copyList.Write(0, words); err != nil {
		return err
	}
	m.copier.call.Args[2] = uint64(len(list))
	if err := m.copier.queue(m.driver, int64(len(list))); err != nil {
		return err
	}
	return m.driver.Finish()
}

func (m *Model) copyThroughHost(list []engine.PageCopy) error {
	page := make([]byte, m.pool.pageBytes)
	for _, p := range list {
		if err := m.pool.mem.Read(int64(p.From)*m.pool.pageBytes, page); err != nil {
			return err
		}
		if err := m.pool.mem.Write(int64(p.To)*m.pool.pageBytes, page); err != nil {
			return err
		}
	}
	return nil
}

// CopyPage implements engine.Model.
func (m *Model) CopyPage(dst, src int32) error {
	if dst == src && dst >= 0 && int(dst) < m.limits.Pages {
		return nil
	}
	return m.CopyPages([]engine.PageCopy{{From: src, To: dst}})
}

// KeepsState implements engine.StateKeeper.
func (m *Model) KeepsState() bool { return m.program.KeepsState() }

var _ engine.PageCopier = (*Model)(nil)
