package engine

import (
	"fmt"
	"slices"
)

// maxPersistent bounds the persistent entries of a program.
const maxPersistent = 8

// CheckPersistent proves the lists of a program's persistent entries, which are for ascending numbers of tokens. All else of the program has been
// checked.
func (p *Program) CheckPersistent() error {
	if len(p.Persistent) > maxPersistent {
		return fmt.Errorf("%d persistent entries, at most %d", len(p.Persistent), maxPersistent)
	}
	for i := range p.Persistent {
		n := &p.Persistent[i]
		if i > 0 && n.Tokens <= p.Persistent[i-1].Tokens {
			return fmt.Errorf("persistent entry %s: up to %d tokens behind %d; they ascend", n.Entry, n.Tokens, p.Persistent[i-1].Tokens)
		}
		if err := p.checkPersistent(n); err != nil {
			return fmt.Errorf("persistent entry %s: %w", n.Entry, err)
		}
	}
	return nil
}

// checkPersistent proves of a list of tasks, for every step that it serves and for every number of CTAs from one on, all of which run at the same time:
//
//   - No deadlock. A task waits for tasks before it alone. Suppose that CTAs wait for ever; of the tasks that are not done take the first: whoever has
//     blocks of it walks the list in order, so that all before is behind it, and what it waits for is done. It goes on.
//   - No race. Of two tasks that touch the same memory, one of them writing, the later begins its blocks when the earlier has counted all of
//     its own: it waits for it, or for one that does so and so on. A task that may have no blocks holds nobody up, so that what it waits for counts
//     for those behind it only if they wait for that too.
//   - The same results as the launches one after the other: such two tasks are in the order of their launches.
//   - Whatever is read has been written, in this step, by a task that the reader comes after.
//
// It also wants the list to stand for the launches that are left out, all of them. That the entry does what its parameters say is not judged.
func (p *Program) checkPersistent(n *Persistent) error {
	if err := n.checkShape(p); err != nil {
		return err
	}
	codes, err := n.checkTasks(p)
	if err != nil {
		return err
	}
	after := n.closure(codes)
	touched := make([][]access, len(n.Tasks))
	for i, t := range n.Tasks {
		if touched[i], err = p.accesses(&p.Launches[t.Launch]); err != nil {
			return err
		}
	}
	if err := n.checkRaces(p, after, touched); err != nil {
		return err
	}
	return n.checkWritten(p, after, touched)
}

// checkShape is for the launch of the entry itself.
func (n *Persistent) checkShape(p *Program) error {
	c := Code{Entry: n.Entry, Threads: n.Threads, Shared: n.Shared}
	for i := range c.Grid {
		c.Grid[i].Per = 1
	}
	if err := c.check(); err != nil {
		return err
	}
	switch {
	case n.Tokens < 1 || n.Tokens > maxGrid || n.PerSequence < 0 || n.PerSequence > n.Tokens:
		return fmt.Errorf("it serves steps of up to %d tokens, %d of a sequence", n.Tokens, n.PerSequence)
	case n.Launches < 1 || n.Launches > len(p.Launches):
		return fmt.Errorf("it stands for %d launches of %d", n.Launches, len(p.Launches))
	case len(n.Tasks) == 0 || len(n.Tasks) > min(MaxTasks, n.Launches):
		return fmt.Errorf("%d tasks for %d launches; at most %d", len(n.Tasks), n.Launches, MaxTasks)
	case n.ArgumentSlots < 1 || n.ArgumentSlots > n.Threads:
		return fmt.Errorf("%d slots of arguments for %d threads, each of which fetches one", n.ArgumentSlots, n.Threads)
	case n.Threads < MaxWaits:
		return fmt.Errorf("%d threads; at least %d", n.Threads, MaxWaits)
	}
	return nil
}

// checkTasks wants every launch that has blocks to be a task once, and returns the entries that tasks stand for.
func (n *Persistent) checkTasks(p *Program) ([]*Code, error) {
	seen := make([]bool, n.Launches)
	var codes []*Code
	for i, t := range n.Tasks {
		if t.Launch < 0 || t.Launch >= n.Launches || seen[t.Launch] {
			return nil, fmt.Errorf("task %d: launch %d of %d, or it is another task too", i, t.Launch, n.Launches)
		}
		seen[t.Launch] = true
		l := &p.Launches[t.Launch]
		c := l.CodeFor(n.Tokens)
		switch {
		case c == nil || !slices.Contains(n.Bodies, c.Entry):
			return nil, fmt.Errorf("task %d (%s): the entry does not do the work of its launch", i, l.Label)
		case c.Threads > n.Threads:
			return nil, fmt.Errorf("task %d (%s): a block of %d threads in a CTA of %d", i, l.Label, c.Threads, n.Threads)
		case len(FindKernel(l.Kernel).Roles) > n.ArgumentSlots:
			return nil, fmt.Errorf("task %d (%s): %d operands, %d slots", i, l.Label, len(FindKernel(l.Kernel).Roles), n.ArgumentSlots)
		case len(t.After) > MaxWaits:
			return nil, fmt.Errorf("task %d (%s) waits for %d others, at most %d", i, l.Label, len(t.After), MaxWaits)
		}
		for _, before := range t.After {
			if before < 0 || before >= i {
				return nil, fmt.Errorf("task %d (%s) waits for task %d, which is not before it: a deadlock", i, l.Label, before)
			}
		}
		codes = append(codes, c)
	}
	for i := range seen {
		if c := p.Launches[i].CodeFor(n.Tokens); !seen[i] && (c == nil || !c.Idle()) {
			return nil, fmt.Errorf("launch %d (%s) is left out and no task", i, p.Launches[i].Label)
		}
	}
	return codes, nil
}

// taskSet is a set of tasks.
type taskSet []uint64

func (s taskSet) has(i int) bool { return s[i/64]>>(i%64)&1 != 0 }
func (s taskSet) add(i int)      { s[i/64] |= 1 << (i % 64) }

func (s taskSet) union(t taskSet) {
	for i := range t {
		s[i] |= t[i]
	}
}

// closure finds for each task those that are done when it begins.
func (n *Persistent) closure(codes []*Code) []taskSet {
	after := make([]taskSet, len(n.Tasks))
	for i := range n.Tasks {
		after[i] = n.Tasks[i].doneBefore(len(n.Tasks), codes, after)
	}
	return after
}

// doneBefore is what is done when a task of n begins, given that of the tasks before.
func (t *Task) doneBefore(n int, codes []*Code, after []taskSet) taskSet {
	done := make(taskSet, (n+63)/64)
	for _, before := range t.After {
		done.add(before)
		if codes[before].neverIdle() {
			done.union(after[before])
		}
	}
	return done
}

// conflict finds what two tasks may not touch at the same time.
func conflict(a, b []access) (x, y *access) {
	for i := range a {
		for j := range b {
			if (a[i].writes || b[j].writes) && a[i].place.overlaps(&b[j].place) {
				return &a[i], &b[j]
			}
		}
	}
	return nil, nil
}

func (n *Persistent) checkRaces(p *Program, after []taskSet, touched [][]access) error {
	for j := range n.Tasks {
		for i := range j {
			x, y := conflict(touched[i], touched[j])
			if x == nil {
				continue
			}
			first, second := n.Tasks[i].Launch, n.Tasks[j].Launch
			names := fmt.Sprintf("tasks %d (%s, %s) and %d (%s, %s)", i, p.Launches[first].Label, x.role, j, p.Launches[second].Label, y.role)
			switch {
			case !after[j].has(i):
				return fmt.Errorf("%s touch the same memory and nothing orders them: a race", names)
			case first > second:
				return fmt.Errorf("%s touch the same memory, not in the order of their launches", names)
			}
		}
	}
	return nil
}

// checkWritten wants of each matrix that is read that tasks before have written all of its columns. Codes of a launch that is left out are not read:
// readers have what these would be made of.
func (n *Persistent) checkWritten(p *Program, after []taskSet, touched [][]access) error {
	for j := range n.Tasks {
		for k := range touched[j] {
			r := &touched[j][k]
			if !r.reads || n.written(after[j], touched[:j], &r.place) {
				continue
			}
			l := &p.Launches[n.Tasks[j].Launch]
			if raw := FindKernel(l.Kernel).Operand(l, "raw"); r.role == "x" && raw.Kind == OperandBuffer && n.leavesOut(p, r) {
				continue
			}
			return fmt.Errorf("task %d (%s) reads %s, which no task before it has written", j, l.Label, r.role)
		}
	}
	return nil
}

// written tells whether tasks of a set cover a place, column by column.
func (n *Persistent) written(before taskSet, touched [][]access, want *place) bool {
	left := []place{*want}
	for i := range touched {
		if !before.has(i) {
			continue
		}
		for k := range touched[i] {
			if w := &touched[i][k]; w.writes && w.place.kind == OperandBuffer {
				left = without(left, &w.place)
			}
		}
		if len(left) == 0 {
			return true
		}
	}
	return false
}

// without takes the columns of w away from places of one buffer, where w has all of their rows.
func without(places []place, w *place) []place {
	var left []place
	for _, p := range places {
		from, to := max(p.offset, w.offset), min(p.offset+p.row, w.offset+w.row)
		part := p
		part.offset, part.row = from, to-from
		if from >= to || !part.within(w) {
			left = append(left, p)
			continue
		}
		for _, rest := range [][2]int64{{p.offset, from}, {to, p.offset + p.row}} {
			if rest[0] < rest[1] {
				r := p
				r.offset, r.row = rest[0], rest[1]-rest[0]
				left = append(left, r)
			}
		}
	}
	return left
}

// leavesOut tells whether the launch that writes a place has no blocks.
func (n *Persistent) leavesOut(p *Program, r *access) bool {
	for i := range n.Launches {
		l := &p.Launches[i]
		list, err := p.accesses(l)
		if err != nil || !l.CodeFor(n.Tokens).Idle() {
			continue
		}
		if slices.ContainsFunc(list, func(w access) bool { return w.writes && r.place.within(&w.place) }) {
			return true
		}
	}
	return false
}
