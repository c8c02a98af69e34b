package gpu

import (
	"fmt"

	"llmc/engine"
	"llmc/runtime/device/wire"
)

// CopyPage implements engine.Model.
func (c *Cards) CopyPage(dst, src int32) error {
	if dst == src && dst >= 0 && int(dst) < c.models[0].limits.Pages {
		return nil
	}
	return c.CopyPages([]engine.PageCopy{{From: src, To: dst}})
}

// CopyPages implements engine.PageCopier.
func (c *Cards) CopyPages(list []engine.PageCopy) error {
	if err := engine.CheckCopies(list, c.models[0].limits.Pages); err != nil {
		return err
	}
	var pages []int32
	for _, p := range list {
		pages = append(pages, p.From, p.To)
	}
	return c.everywhere(tellCopy, wire.AppendInts(nil, pages), func(_ int, m *Model) error { return m.CopyPages(list) })
}

// PageFormat implements engine.PageMover: a page is the parts of all cards, in their order.
func (c *Cards) PageFormat() string {
	format := fmt.Sprintf("%s, of %d cards", c.models[0].PageFormat(), len(c.models))
	if c.stages > 1 {
		format += fmt.Sprintf(" in %d stages", c.stages)
	}
	if c.machines != nil {
		format += fmt.Sprintf(" on %d machines", c.machines.size())
	}
	return format
}

// PageBytes implements engine.PageMover.
func (c *Cards) PageBytes() (n int) {
	for _, bytes := range c.pages {
		n += bytes
	}
	return n
}

// pageBytes is what the first cards have of a page.
func (c *Cards) pageBytes(cards int) (n int) {
	for _, m := range c.models[:cards] {
		n += m.PageBytes()
	}
	return n
}

// ReadPage implements engine.PageMover: those of this machine's cards come first, then those of the others.
func (c *Cards) ReadPage(page int32, to []byte) error {
	return c.movePage(page, to, (*Model).ReadPage, func(machine int, part []byte) error {
		g := c.machines.Group
		if err := g.Send(machine, tellRead, wire.AppendInts(nil, []int32{page})); err != nil {
			return err
		}
		kind, data, err := g.Receive(machine, false, part[:0])
		if err == nil && (kind != tellPage || len(data) != len(part)) {
			err = g.Fail(fmt.Errorf("machine %d said %d in %d bytes where a page was due, of %d", machine, kind, len(data), len(part)))
		}
		return err
	})
}

// WritePage implements engine.PageMover.
func (c *Cards) WritePage(page int32, from []byte) error {
	return c.movePage(page, from, (*Model).WritePage, func(machine int, part []byte) error {
		return c.machines.Group.Send(machine, tellWrite, append(wire.AppendInts(nil, []int32{page}), part...))
	})
}

// movePage moves what the cards have of a page, in turn with steps, then what other machines have.
func (c *Cards) movePage(page int32, moved []byte, here func(m *Model, page int32, part []byte) error, there func(machine int, part []byte) error) error {
	if pages := c.models[0].limits.Pages; len(moved) != c.PageBytes() || page < 0 || int(page) >= pages {
		return fmt.Errorf("page %d in %d bytes: there are %d pages of %d", page, len(moved), pages, c.PageBytes())
	}
	err := c.together(func(card int, m *Model) error { return here(m, page, moved[c.pageBytes(card):c.pageBytes(card+1)]) })
	if err != nil || len(c.pages) == 1 {
		return err
	}
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.lost != nil {
		return c.lost
	}
	for machine, at := 1, c.pages[0]; machine < len(c.pages); machine++ {
		if err := there(machine, moved[at:at+c.pages[machine]]); err != nil {
			c.lost = lostMachine(err)
			return c.lost
		}
		at += c.pages[machine]
	}
	return nil
}
