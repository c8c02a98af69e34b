package cpu

import (
	"errors"
	"fmt"

	"llmc/engine"
	"llmc/runtime/device/wire"
)

// PageFormat implements engine.PageMover. Programs of several targets lay keys and values out alike, but compute them in other orders.
func (m *model) PageFormat() string {
	format := fmt.Sprintf("cpu %s, pages of %d", m.settings.Target, m.settings.PageSize)
	if m.split != nil {
		format += fmt.Sprintf(", tp %d, pp %d", m.split.Ranks.TP, m.split.Ranks.PP)
	}
	return format
}

// PageBytes implements engine.PageMover.
func (m *model) PageBytes() int {
	sum := 0
	for _, n := range m.moved {
		sum += n
	}
	return sum
}

// planMoves computes how much of a page each rank has.
func (m *model) planMoves() error {
	ranks := 1
	if m.split != nil {
		ranks = m.split.Ranks.Size()
	}
	for r := range ranks {
		pool := kvPool{pageSize: m.settings.PageSize}
		if err := pool.plan(m.caches(r)); err != nil {
			return err
		}
		m.moved = append(m.moved, pool.movedBytes())
	}
	return nil
}

// ReadPage implements engine.PageMover: what the ranks have of a page comes one after the other.
func (m *model) ReadPage(page int32, to []byte) error {
	return m.movePage(page, to, m.kv.readPage, func(rank int, part []byte) error {
		g := m.split.Group
		if err := g.Send(rank, tellRead, wire.AppendInts(nil, []int32{page})); err != nil {
			return err
		}
		kind, data, err := g.Receive(rank, false, part[:0])
		if err == nil && (kind != tellPage || len(data) != len(part)) {
			err = g.Fail(fmt.Errorf("rank %d said %d in %d bytes where a page was due, of %d", rank, kind, len(data), len(part)))
		}
		return err
	})
}

// WritePage implements engine.PageMover.
func (m *model) WritePage(page int32, from []byte) error {
	return m.movePage(page, from, m.kv.writePage, func(rank int, part []byte) error {
		return m.split.Group.Send(rank, tellWrite, append(wire.AppendInts(nil, []int32{page}), part...))
	})
}

// movePage moves the first rank's part of a page, and those of the others, in turn with the steps, which others have their part in.
func (m *model) movePage(page int32, moved []byte, own func(int32, []byte) error, others func(rank int, part []byte) error) error {
	if len(moved) != m.PageBytes() || !m.kv.has(page) {
		return fmt.Errorf("page %d in %d bytes: there are %d pages of %d", page, len(moved), m.kv.pages, m.PageBytes())
	}
	if err := own(page, moved[:m.moved[0]]); err != nil || m.split == nil {
		return err
	}
	m.together.Lock()
	defer m.together.Unlock()
	at := m.moved[0]
	for r := 1; r < len(m.moved); r++ {
		if err := others(r, moved[at:at+m.moved[r]]); err != nil {
			return fmt.Errorf("%w: %w", engine.ErrDeviceLost, err)
		}
		at += m.moved[r]
	}
	return nil
}

var _ engine.PageMover = (*model)(nil)

// movePage does a rank's part of what the first one was asked to move.
func (f *following) movePage(kind uint32, data []byte) error {
	pages, part, err := wire.TakeInts(nil, data)
	if err != nil || len(pages) != 1 {
		return errors.New("the first rank told no page to move")
	}
	if kind == tellWrite {
		return f.m.kv.writePage(pages[0], part)
	}
	part = make([]byte, f.m.moved[f.m.rank()])
	if err := f.m.kv.readPage(pages[0], part); err != nil {
		return err
	}
	return f.m.split.Group.Send(0, tellPage, part)
}
