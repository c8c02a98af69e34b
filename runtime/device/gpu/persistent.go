package gpu

import (
	"encoding/binary"
	"fmt"
	"strings"

	"llmc/engine"
	"llmc/internal/sym"
)

// Cooperator is a Driver that launches kernels whose CTAs wait for each other.
type Cooperator interface {
	// Resident is how many CTAs of a kernel the card runs at the same time, 0 if it can not tell. A launch that is Together of more is refused.
	Resident(k Kernel, threads, shared uint32) (int, error)
}

// persistent is a program's persistent entry bound to memory; see engine.Persistent.
type persistent struct {
	*engine.Persistent
	codes  []*engine.Code // by task
	call   Launch
	sizes  []uint64 // the last arguments of the call: T, B, R, positions of a page, bytes of a page
	table  Memory   // of records, then waits
	filled sym.Env  // the sizes of the step that the table is for; of no tokens: none yet
	blocks []int64  // of tasks, for that step
	bytes  []byte
	slower bool // launches are taken, which this card does in less time, or as far as is known
}

// bindPersistent makes the program's persistent entries ready, if the driver and the settings want them.
func (m *Model) bindPersistent(code Code) error {
	wanted := m.limits.Persistent
	driver, ok := m.driver.(Cooperator)
	if wanted == engine.PersistentOff || wanted == engine.PersistentAuto && (!ok || m.driver.Card().Cores == 0) {
		return nil
	}
	card := m.driver.Card()
	for i := range m.program.Persistent {
		n := &m.program.Persistent[i]
		if !ok || n.Shared > card.SharedMemory {
			continue
		}
		kernel, err := code.Entry(n.Entry)
		if err != nil {
			return fmt.Errorf("persistent entry: %w", err)
		}
		ctas, err := driver.Resident(kernel, uint32(n.Threads), uint32(n.Shared))
		if err != nil {
			return fmt.Errorf("persistent entry %s: %w", n.Entry, err)
		}
		if ctas < 1 {
			continue
		}
		p := persistent{Persistent: n, slower: wanted == engine.PersistentAuto, call: Launch{Kernel: kernel, Label: n.Entry, Grid: [3]uint32{uint32(ctas), 1, 1},
			Threads: uint32(n.Threads), Shared: uint32(n.Shared), Together: true}}
		if err := m.bindTasks(&p, m.persist.memory[i]); err != nil {
			return err
		}
		m.persist.entries = append(m.persist.entries, p)
	}
	if wanted == engine.PersistentOn && len(m.persist.entries) == 0 {
		why := "it can not run enough of their CTAs together"
		if len(m.program.Persistent) == 0 {
			why = strings.Join(append([]string{"the program has none"}, m.program.Unpersistent...), "; ")
		}
		return fmt.Errorf("persistent entries are wanted, and %v runs none of target %s: %s; leave it to the device", &card, m.program.Target, why)
	}
	return nil
}

// taskMemory is what a persistent entry reads and counts in.
type taskMemory struct{ table, arguments, counters Memory }

// takeTasks allocates that of each of the program's entries, unless nobody wants them.
func (m *Model) takeTasks(a allocator) error {
	if m.limits.Persistent == engine.PersistentOff {
		return nil
	}
	for i := range m.program.Persistent {
		n, t := &m.program.Persistent[i], taskMemory{}
		waits := 0
		for _, task := range n.Tasks {
			waits += len(task.After)
		}
		for _, part := range []struct {
			name  string
			words int
			to    *Memory
		}{
			{"tasks", engine.TaskWords*len(n.Tasks) + engine.WaitWords*waits, &t.table},
			{"arguments of tasks", 2 * n.ArgumentSlots * len(n.Tasks), &t.arguments},
			{"counters of tasks", len(n.Tasks) + 1, &t.counters},
		} {
			var err error
			if *part.to, err = a.Alloc(part.name, 4*int64(part.words)); err != nil {
				return err
			}
		}
		m.persist.memory = append(m.persist.memory, t)
	}
	return nil
}

// bindTasks binds an entry to its memory, and writes there what is the same for all steps.
func (m *Model) bindTasks(p *persistent, memory taskMemory) error {
	tasks := len(p.Tasks)
	p.table, p.blocks = memory.table, make([]int64, tasks)
	arguments := make([]byte, 8*p.ArgumentSlots*tasks)
	for i, t := range p.Tasks {
		p.codes = append(p.codes, m.program.Launches[t.Launch].CodeFor(p.Tokens))
		l := &m.launches[t.Launch]
		given := l.variants[0].call.Args
		for k, a := range given[:len(given)-len(l.sizes)] {
			binary.LittleEndian.PutUint64(arguments[8*(p.ArgumentSlots*i+k):], a)
		}
	}
	if err := memory.arguments.Write(0, arguments); err != nil {
		return err
	}
	if err := memory.counters.Write(0, make([]byte, 4*(tasks+1))); err != nil {
		return err
	}
	table := memory.table.Addr()
	p.call.Args = []uint64{table, memory.arguments.Addr(), table + uint64(4*engine.TaskWords*tasks), memory.counters.Addr(), uint64(tasks),
		0, 0, 0, uint64(m.limits.PageSize), uint64(m.pool.pageBytes)}
	p.sizes = p.call.Args[5:]
	return nil
}

// choosePersistent finds what a step is run with, and writes the list of tasks unless it is that of the step before.
func (m *Model) choosePersistent(step *engine.Step) error {
	m.persist.now = nil
	if m.visit != nil || m.adapters.now {
		return nil // somebody looks at what each launch wrote, or it is not what the entry does
	}
	env := step.Sizes()
	longest := int64(0)
	for b := range step.Context {
		longest = max(longest, int64(step.SeqStart[b+1]-step.SeqStart[b]))
	}
	for i := range m.persist.entries {
		p := &m.persist.entries[i]
		if !p.Serves(env, longest) {
			continue
		}
		if p.slower {
			return nil
		}
		m.persist.now = p
		return p.fill(env)
	}
	return nil
}

// fill writes the list of tasks for a step of the given sizes.
func (p *persistent) fill(env sym.Env) error {
	if p.filled == env {
		return nil
	}
	p.filled = sym.Env{}
	p.bytes = p.bytes[:0]
	word := func(values ...int64) {
		for _, v := range values {
			p.bytes = binary.LittleEndian.AppendUint32(p.bytes, uint32(v))
		}
	}
	first := int64(0)
	for i, t := range p.Tasks {
		grid, all, err := p.codes[i].Blocks(env)
		if err != nil {
			return err
		}
		p.blocks[i] = all
		word(bodyOf(p.Persistent, p.codes[i]), grid[0], grid[1], all, first, int64(len(t.After)), 0, 0)
		first += int64(len(t.After))
	}
	for _, t := range p.Tasks {
		for _, before := range t.After {
			word(int64(before), p.blocks[before])
		}
	}
	if err := p.table.Write(0, p.bytes); err != nil {
		return fmt.Errorf("tasks of %s: %w", p.Entry, err)
	}
	p.filled = env
	putSizes(p.sizes, env)
	return nil
}

// recordPersistent records the launches of a step with the entry that serves it, if there is one.
func (m *Model) recordPersistent(recorder Recorder, key replayKey) error {
	for i := range m.persist.entries {
		p := &m.persist.entries[i]
		if !p.Serves(key.env(), 1) {
			continue
		}
		m.persist.now, key.persistent, p.filled = p, true, sym.Env{}
		defer func() { m.persist.now = nil }()
		putSizes(p.sizes, key.env())
		recording, err := recorder.Record(func() error { return m.queue(key.env(), key.flags) })
		if err == nil {
			m.replay.recordings[key] = recording
		}
		return err
	}
	return nil
}

// bodyOf is the number of the body that does an entry's work. The plan has been checked: there is one.
func bodyOf(n *engine.Persistent, c *engine.Code) int64 {
	for i, name := range n.Bodies {
		if name == c.Entry {
			return int64(i)
		}
	}
	return -1
}
