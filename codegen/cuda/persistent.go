package cuda

import (
	"fmt"
	"slices"

	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/internal/sym"
)

// Sizes of what persistent entries read and keep in shared memory; see engine.Persistent.
const (
	argumentBytes = 8
	recordBytes   = 4 * engine.TaskWords
	waitBytes     = 4 * engine.WaitWords
)

// persistentSizes are the parameters that stand for those of launches, in the order of these.
var persistentSizes = []string{"tokens", "sequences", "rows_sampled", "page_size", "page_stride"}

// mostPersistentTokens is up to how many tokens a step has persistent entries: more compute for longer than it takes to launch what they need.
const mostPersistentTokens = fewTokens

// Persist gives the program entries that stand for all of its launches so far, for steps of few tokens: one for each size from which on launches have
// other entries. Where there can be none the program says why.
func (c *Coder) Persist(p *engine.Program) error {
	if p.Cards > 0 {
		p.Unpersistent = append(p.Unpersistent, "cards that exchange rows run launches one by one")
		return nil
	}
	for _, tokens := range persistentTokens(p) {
		n := engine.Persistent{Tokens: tokens, Launches: len(p.Launches), Entry: fmt.Sprintf("step_to_%d", tokens)}
		w, refusal, err := c.newPersistent(p, &n)
		if err != nil {
			return err
		}
		if refusal == "" {
			w.write(c.module)
			if refusal = w.b.TooLarge(); refusal != "" {
				w.b.Drop()
			}
		}
		if refusal != "" {
			p.Unpersistent = append(p.Unpersistent, fmt.Sprintf("steps of up to %d tokens: %s", tokens, refusal))
			continue
		}
		c.again = append(c.again, func() { w.write(c.module) })
		p.Persistent = append(p.Persistent, n)
	}
	return p.CheckPersistent()
}

// persistentTokens are the least and the largest limit of entries, as far as they are of few tokens. Those between would make the code longer, which
// drivers compile, and steps little shorter.
func persistentTokens(p *engine.Program) []int64 {
	var list []int64
	for i := range p.Launches {
		for _, code := range p.Launches[i].Code {
			of := code.Limit.Of
			if (of == sym.Of(sym.T) || of == sym.Of(sym.R)) && code.Limit.Max > 0 && code.Limit.Max <= mostPersistentTokens {
				list = append(list, code.Limit.Max)
			}
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if len(list) > 2 {
		list = []int64{list[0], list[len(list)-1]}
	}
	return list
}

// persistent is a persistent entry that is being written.
type persistent struct {
	*engine.Persistent
	bodies []source
	async  bool // copies and matrix units go past the caches of threads

	b                                 *ptx.Builder
	tasks, arguments, waits, counters ptx.Reg // addresses
	cta, ctas, thread                 ptx.Reg
	slots                             ptx.Reg // shared memory: the arguments of the task
	task, body, gridX, gridY, blocks  ptx.Reg
	firstWait, waitCount, given       ptx.Reg
	awaited                           ptx.Reg // 1 behind awaitWithin
}

// newPersistent fills in what n has of tasks and bodies. refusal says why there can be no such entry.
func (c *Coder) newPersistent(p *engine.Program, n *engine.Persistent) (w *persistent, refusal string, err error) {
	if n.Launches > engine.MaxTasks {
		return nil, fmt.Sprintf("%d launches, at most %d", n.Launches, engine.MaxTasks), nil
	}
	if err := p.Order(n); err != nil {
		return nil, "", err
	}
	w = &persistent{Persistent: n, async: c.target.PTX == ptx.SM90a}
	for _, t := range n.Tasks {
		l := &p.Launches[t.Launch]
		code := l.CodeFor(n.Tokens)
		s, ok := c.sources[code.Entry]
		if !ok {
			return nil, fmt.Sprintf("%s (%s) has no entry that can be a part", l.Label, l.Kernel), nil
		}
		if len(t.After) > engine.MaxWaits {
			return nil, fmt.Sprintf("%s (%s) waits for %d others, at most %d", l.Label, l.Kernel, len(t.After), engine.MaxWaits), nil
		}
		if s.e.attends() {
			if newAttend(&s.e).fillsRegisters() {
				return nil, fmt.Sprintf("%s (%s) has no registers left for a list of tasks", l.Label, l.Kernel), nil
			}
			if most := int64(newAttend(&s.e).partTokens()); most > 0 && (n.PerSequence == 0 || most < n.PerSequence) {
				n.PerSequence = min(most, n.Tokens)
			}
		}
		if slices.Contains(n.Bodies, code.Entry) {
			continue
		}
		n.Bodies, w.bodies = append(n.Bodies, code.Entry), append(w.bodies, s)
		n.Threads, n.ArgumentSlots = max(n.Threads, code.Threads), max(n.ArgumentSlots, len(s.e.kernel.Roles))
	}
	if len(n.Tasks) == 0 {
		return nil, "no launch has blocks", nil
	}
	return w, "", nil
}

// write adds the entry to a module.
func (w *persistent) write(m *ptx.Module) {
	w.b = m.Kernel(w.Entry, ptx.Launch{Threads: w.Threads, MinCTAs: 1})
	b := w.b
	b.Section("parameters")
	w.tasks, w.arguments = b.Pointer("tasks", recordBytes), b.Pointer("arguments", argumentBytes)
	w.waits, w.counters = b.Pointer("waits", waitBytes), b.Pointer("counters", 4)
	count := b.Uint("count")
	for i, name := range persistentSizes {
		if i < len(persistentSizes)-1 {
			b.Uint(name)
		} else {
			b.Uint64(name)
		}
	}
	w.cta, w.ctas, w.thread = b.CtaX(), b.GridX(), b.TidX()
	w.slots = b.Addr(b.Dynamic("arguments", argumentBytes*w.ArgumentSlots, 16))
	b.For(ptx.Range{Name: "tasks", From: 0, To: count, NoUnroll: true}, func(task ptx.Reg) {
		w.task = task
		w.readTask()
		b.If(b.Lt(w.cta, w.blocks), w.runTask)
	})
	w.clear(count)
	w.Shared = b.DynamicBytes()
}

// readTask loads the task's record, which all threads do.
func (w *persistent) readTask() {
	w.b.Section("task")
	at := w.b.Index(w.tasks, w.task, recordBytes)
	words := append(w.b.LdV(ptx.U32, 4, at, ptx.ReadOnly), w.b.LdV(ptx.U32, 2, at.At(16), ptx.ReadOnly)...)
	w.body, w.gridX, w.gridY, w.blocks, w.firstWait, w.waitCount = words[0], words[1], words[2], words[3], words[4], words[5]
	w.given = w.b.Index(w.arguments, w.task, argumentBytes*w.ArgumentSlots)
}

// runTask does the CTA's blocks of the task.
func (w *persistent) runTask() {
	b := w.b
	b.If(b.Lt(w.thread, w.ArgumentSlots), func() {
		b.St(b.Index(w.slots, w.thread, argumentBytes), b.Ld(ptx.B64, b.Index(w.given, w.thread, argumentBytes), ptx.ReadOnly))
	})
	w.prefetch()
	w.awaited = b.Const(ptx.U32, 0)
	w.await()
	b.Sync() // arguments are there, and what the tasks before have written is all threads' to read
	done := b.Const(ptx.U32, 0)
	b.For(ptx.Range{Name: "blocks", From: w.cta, To: w.blocks, Step: w.ctas, NoUnroll: true}, func(block ptx.Reg) {
		w.runBlock(block)
		b.Section("end of a block")
		if w.async {
			b.FenceAsyncShared() // what threads wrote lies where bulk copies may write next
		}
		b.Sync()
		b.Into(done).Add(done, 1)
	})
	// The barrier makes what all threads wrote the first one's to release.
	b.If(b.Eq(w.thread, 0), func() { b.RedAdd(ptx.Release, b.Index(w.counters, w.task, 4), done) })
}

// prefetch brings weights of the CTA's first block nearer.
func (w *persistent) prefetch() {
	b := w.b
	b.Section("prefetch")
	numbers := w.numbers(w.cta)
	for i, s := range w.bodies {
		if s.v.prefetch == nil {
			continue
		}
		b.If(b.Eq(w.body, i), func() {
			e := s.e
			e.Builder, e.threads, e.makesCodes = b, s.v.threads, s.v.makesCodes
			e.part = &part{name: w.Bodies[i], block: numbers, arguments: w.given, threads: w.Threads}
			e.declare()
			s.v.prefetch(&e)
		})
	}
}

// await waits for the tasks that this one comes after, unless its body begins with weights and does so itself.
func (w *persistent) await() {
	b := w.b
	b.Section("wait")
	waiting := b.Lt(w.thread, w.waitCount)
	for i, s := range w.bodies {
		if s.v.readsWeights {
			waiting = b.CmpAnd(ptx.NE, w.body, i, waiting)
		}
	}
	b.If(waiting, func() { w.poll(w.thread) })
}

// awaitBarrier is where the threads of a CTA meet that wait within a body.
const awaitBarrier = partBarrier + 1

// awaitWithin does so within a body, where all threads of the CTA come by once, whatever they do there: before the first block in which they do, which need not
// be the CTA's first one of the task.
func (w *persistent) awaitWithin() {
	b := w.b
	b.If(b.CmpAnd(ptx.EQ, w.awaited, 0, b.Lt(w.thread, w.waitCount)), func() { w.poll(w.thread) })
	b.SyncSome(awaitBarrier, w.Threads)
	b.Set(w.awaited, 1)
}

// mostPolls is how often a counter is looked at: some ten seconds, thousands of times what a step takes. A CTA that is still waiting then waits for what will never
// be, and ends the launch with an error rather than with a hang.
const mostPolls = 1 << 24

// poll looks at one of the counters until its task has counted all of its blocks.
func (w *persistent) poll(number ptx.Reg) {
	b := w.b
	wait := b.LdV(ptx.U32, 2, b.Index(w.waits, b.Add(w.firstWait, number), waitBytes), ptx.ReadOnly)
	counter := b.Index(w.counters, wait[0], 4)
	polls := b.Const(ptx.U32, 0)
	b.DoWhile("wait", func() ptx.Reg {
		b.Into(polls).Add(polls, 1)
		b.If(b.Ge(polls, mostPolls), b.Trap)
		return b.Lt(b.Ld(ptx.U32, counter, ptx.AcquireGPU), wait[1])
	})
}

// runBlock does the work of the launch's CTA of that number.
func (w *persistent) runBlock(block ptx.Reg) {
	b := w.b
	b.Section("block")
	numbers := w.numbers(block)
	for i, s := range w.bodies {
		b.If(b.Eq(w.body, i), func() {
			b.Overlay(func() {
				w.writeBody(s, &part{name: w.Bodies[i], block: numbers, arguments: w.slots, threads: w.Threads, await: w.awaiting(s)})
			})
		})
	}
}

// numbers are those of a block in x, y and z.
func (w *persistent) numbers(block ptx.Reg) [3]ptx.Reg {
	b := w.b
	row := b.Div(block, w.gridX)
	z := b.Div(row, w.gridY)
	return [3]ptx.Reg{b.Sub(block, b.Mul(row, w.gridX)), b.Sub(row, b.Mul(z, w.gridY)), z}
}

// awaiting is what a body does to wait for its inputs, nil if that has been done.
func (w *persistent) awaiting(s source) func() {
	if !s.v.readsWeights {
		return nil
	}
	return w.awaitWithin
}

// writeBody writes an entry as a part; threads that it has no use for leave it out.
func (w *persistent) writeBody(s source, as *part) {
	e, v := s.e, s.v
	e.Builder, e.threads, e.makesCodes, e.part = w.b, v.threads, v.makesCodes, as
	build := func() {
		e.declare()
		v.build(&e)
	}
	if v.threads == w.Threads {
		build()
		return
	}
	w.b.If(w.b.Lt(w.b.Warp(), v.threads/32), build)
}

// clear makes the counters zero, once nobody looks at them any more: the last CTA to come does. Its own counter starts anew by itself.
func (w *persistent) clear(count ptx.Reg) {
	b := w.b
	b.Section("end")
	b.If(b.Eq(w.thread, 0), func() {
		last := b.Sub(w.ctas, 1)
		before := b.AtomInc(ptx.AcquireRelease, b.Index(w.counters, count, 4), last)
		b.If(b.Eq(before, last), func() {
			zero := b.Const(ptx.U32, 0)
			b.For(ptx.Range{Name: "counters", From: 0, To: count, NoUnroll: true}, func(i ptx.Reg) { b.St(b.Index(w.counters, i, 4), zero) })
		})
	})
}
