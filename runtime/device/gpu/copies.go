package gpu

import (
	"encoding/binary"
	"fmt"

	"llmc/engine"
	"llmc/internal/sym"
)

// copyBatch is how many pages are copied at a time: the list has that much room on the device.
const copyBatch = 256

// copier copies KV pages on the device. Plans of earlier releases have no code for it.
type copier struct {
	call Launch
	code *engine.Code
	list Memory
}

// takeCopyList allocates the list of pages where the program has an entry that reads it.
func (m *Model) takeCopyList(a allocator) (err error) {
	if m.program.FindAuxiliary(engine.CopyPages) != nil && m.pool.pageBytes%16 == 0 {
		m.copyList, err = a.Alloc("pages to copy", 8*copyBatch)
	}
	return err
}

// newCopier binds the program's entry; nil where it has none.
func (m *Model) newCopier(code Code) (*copier, error) {
	if m.copyList == nil {
		return nil, nil
	}
	a := m.program.FindAuxiliary(engine.CopyPages)
	kernel, err := code.Entry(a.Code.Entry)
	if err != nil {
		return nil, fmt.Errorf("auxiliary %s: %w", a.Name, err)
	}
	args := []uint64{m.pool.mem.Addr(), m.copyList.Addr(), 0, uint64(m.pool.pageBytes)}
	return &copier{Launch{Kernel: kernel, Label: a.Name, Threads: uint32(a.Code.Threads), Shared: uint32(a.Code.Shared), Args: args}, &a.Code, m.copyList}, nil
}

// CopyPages copies KV pages in every layer and cache, as they are. The list may not write a page twice, nor one that it reads.
func (m *Model) CopyPages(list []engine.PageCopy) error {
	if err := engine.CheckCopies(list, m.limits.Pages); err != nil {
		return err
	}
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
	c := m.copier
	if c == nil {
		return m.copyThroughHost(list)
	}
	words := make([]byte, 0, 8*copyBatch)
	for _, p := range list {
		words = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(words, uint32(p.From)), uint32(p.To))
	}
	if err := c.list.Write(0, words); err != nil {
		return err
	}
	c.call.Args[2] = uint64(len(list))
	empty, err := c.call.setGrid(c.code, sym.Bind(int64(len(list)), 0, 0, 0))
	if empty {
		err = fmt.Errorf("launch %s: grid of no CTAs", c.call.Label)
	}
	if err != nil {
		return err
	}
	if err := m.driver.Launch(&c.call); err != nil {
		return fmt.Errorf("launch %s: %w", c.call.Label, err)
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

var _ engine.PageCopier = (*Model)(nil)
