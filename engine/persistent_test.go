package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// taskProgram is a program of matrices of T rows, each of which is a column of 64 numbers in a slot.
type taskProgram struct{ Program }

// buffer adds a matrix at a column of a slot.
func (p *taskProgram) buffer(slot, column int) Operand {
	for len(p.Slots) <= slot {
		p.Slots = append(p.Slots, sym.Of(sym.T).Scale(1024))
	}
	p.Buffers = append(p.Buffers, Buffer{Slot: slot, Rows: sym.Of(sym.T), Cols: 64, Offset: int64(256 * column), Stride: 1024, DType: dtype.F32})
	return Operand{Kind: OperandBuffer, Index: len(p.Buffers) - 1}
}

// launch adds a launch of a block for each token, or for each sampled row.
func (p *taskProgram) launch(kernel string, of sym.Symbol, operands ...Operand) {
	one := Extent{Of: sym.Const(1), Per: 1}
	code := Code{Entry: fmt.Sprintf("entry_%d", len(p.Launches)), Threads: 64, Grid: [3]Extent{{Of: sym.Of(of), Per: 1}, one, one}}
	p.Launches = append(p.Launches, Launch{Kernel: kernel, Label: fmt.Sprintf("launch %d", len(p.Launches)), Operands: operands, Code: []Code{code}})
}

// order gives the program a persistent entry for all of it.
func (p *taskProgram) order(t *testing.T) *Persistent {
	t.Helper()
	n := Persistent{Entry: "step", Threads: 64, Tokens: 8, ArgumentSlots: 8, Launches: len(p.Launches)}
	for i := range p.Launches {
		n.Bodies = append(n.Bodies, p.Launches[i].Code[0].Entry)
	}
	if err := p.Order(&n); err != nil {
		t.Fatal(err)
	}
	p.Persistent = []Persistent{n}
	return &p.Persistent[0]
}

// smallTasks is: a = table[ids]; b = 2a; c = 3a; d = b+c; e = 2d, where b was; f = e+a.
func smallTasks(t *testing.T) *taskProgram {
	p := &taskProgram{}
	table, ids := Operand{Kind: OperandWeight}, InputOperand("ids")
	a, b, c, d, e, f := p.buffer(0, 0), p.buffer(1, 0), p.buffer(1, 1), p.buffer(2, 0), p.buffer(1, 0), p.buffer(3, 0)
	p.launch("cuda.gather", sym.T, table, ids, a)
	p.launch("cuda.scale", sym.T, a, b)
	p.launch("cuda.scale", sym.T, a, c)
	p.launch("cuda.add", sym.T, b, c, d)
	p.launch("cuda.scale", sym.T, d, e)
	p.launch("cuda.add", sym.T, e, a, f)
	p.order(t)
	return p
}

// TestOrder wants what has to come first, and nothing that comes before that anyway.
func TestOrder(t *testing.T) {
	p := smallTasks(t)
	want := [][]int{nil, {0}, {0}, {2, 1}, {3}, {4}}
	for i, task := range p.Persistent[0].Tasks {
		if task.Launch != i || !slices.Equal(task.After, want[i]) {
			t.Errorf("task %d is launch %d after %v, want %v", i, task.Launch, task.After, want[i])
		}
	}
	if err := p.CheckPersistent(); err != nil {
		t.Error(err)
	}
}

// TestCheckPersistentRefuses breaks a list that is right in every way there is.
func TestCheckPersistentRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(p *taskProgram, n *Persistent)
	}{
		{"no wait for what is read", "nothing orders them: a race", func(_ *taskProgram, n *Persistent) { n.Tasks[4].After = nil }},
		{"no wait for who reads what is overwritten", "tasks 3 (launch 3, a) and 4 (launch 4, y) touch", func(p *taskProgram, n *Persistent) {
			p.Launches[4].Operands[0] = p.Launches[1].Operands[0] // e = 2a
			n.Tasks[4].After = []int{2, 1}
		}},
		{"no wait for who wrote the same place", "tasks 1 (launch 1, y) and 4 (launch 4, y) touch", func(p *taskProgram, n *Persistent) {
			p.Launches[4].Operands[0], p.Launches[3].Operands[0] = p.Launches[1].Operands[0], p.Launches[2].Operands[1]
			n.Tasks[4].After = []int{2, 0}
		}},
		{"itself", "a deadlock", func(_ *taskProgram, n *Persistent) { n.Tasks[2].After = []int{2} }},
		{"a task behind", "a deadlock", func(_ *taskProgram, n *Persistent) { n.Tasks[1].After = []int{0, 3} }},
		{"no such task", "a deadlock", func(_ *taskProgram, n *Persistent) { n.Tasks[1].After = []int{-1} }},
		{"another order", "not in the order of their launches", func(_ *taskProgram, n *Persistent) {
			n.Tasks[0].Launch, n.Tasks[1].Launch = 1, 0
		}},
		{"left out", "launch 5 (launch 5) is left out", func(_ *taskProgram, n *Persistent) { n.Tasks = n.Tasks[:5] }},
		{"twice", "or it is another task too", func(_ *taskProgram, n *Persistent) { n.Tasks[5].Launch = 4 }},
		{"no launch", "or it is another task too", func(_ *taskProgram, n *Persistent) { n.Tasks[5].Launch = 6 }},
		{"nobody writes it", "task 1 (launch 1) reads x, which no task before it has written", func(p *taskProgram, _ *Persistent) {
			p.Launches[1].Operands[0] = p.buffer(5, 0)
		}},
		{"more columns than are written", "reads b, which no task before it has written", func(p *taskProgram, _ *Persistent) {
			wide := p.buffer(0, 0)
			p.Buffers[wide.Index].Cols = 65
			p.Launches[5].Operands[1] = wide
		}},
		{"more rows than are written", "reads b, which no task before it has written", func(p *taskProgram, _ *Persistent) {
			long := p.buffer(0, 0)
			p.Buffers[long.Index].Rows = sym.Of(sym.T).Add(sym.Const(1))
			p.Launches[5].Operands[1] = long
		}},
		{"who may have no blocks holds nobody up", "tasks 1 (launch 1, y) and 4 (launch 4, y) touch", func(p *taskProgram, _ *Persistent) {
			for i := 1; i < 5; i++ {
				p.Launches[i].Code[0].Grid[0].Of = sym.Of(sym.R)
			}
		}},
		{"no body", "does not do the work", func(_ *taskProgram, n *Persistent) { n.Bodies = n.Bodies[1:] }},
		{"larger blocks", "a block of 65 threads in a CTA of 64", func(p *taskProgram, _ *Persistent) { p.Launches[2].Code[0].Threads = 65 }},
		{"no room for arguments", "3 operands, 2 slots", func(_ *taskProgram, n *Persistent) { n.ArgumentSlots = 2 }},
		{"too many waits", "waits for 40 others", func(_ *taskProgram, n *Persistent) { n.Tasks[5].After = make([]int, 40) }},
		{"no threads", "0 threads", func(_ *taskProgram, n *Persistent) { n.Threads = 0 }},
		{"fewer threads than waits", "16 threads; at least 32", func(_ *taskProgram, n *Persistent) { n.Threads = 16 }},
		{"no tokens", "steps of up to 0 tokens", func(_ *taskProgram, n *Persistent) { n.Tokens = 0 }},
		{"no tasks", "0 tasks for 6 launches", func(_ *taskProgram, n *Persistent) { n.Tasks = nil }},
		{"more launches than there are", "stands for 7 launches of 6", func(_ *taskProgram, n *Persistent) { n.Launches = 7 }},
		{"entries that do not ascend", "they ascend", func(p *taskProgram, _ *Persistent) { p.Persistent = append(p.Persistent, p.Persistent[0]) }},
	} {
		p := smallTasks(t)
		c.change(p, &p.Persistent[0])
		if err := p.CheckPersistent(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
}

// TestOrderIsLeast wants the lists of random programs to hold, and none of their waits to be one too many.
func TestOrderIsLeast(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		p := &taskProgram{}
		p.launch("cuda.gather", sym.T, Operand{Kind: OperandWeight}, InputOperand("ids"), p.buffer(0, 0))
		written := []Operand{{Kind: OperandBuffer}}
		for range 12 {
			of := []sym.Symbol{sym.T, sym.T, sym.R}[random.IntN(3)]
			x, y := written[random.IntN(len(written))], p.buffer(random.IntN(4), random.IntN(4))
			p.launch("cuda.scale", of, x, y)
			written = append(written, y)
		}
		n := p.order(t)
		if err := p.CheckPersistent(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for i := range n.Tasks {
			all := n.Tasks[i].After
			for k := range all {
				n.Tasks[i].After = slices.Delete(slices.Clone(all), k, k+1)
				if err := p.CheckPersistent(); err == nil {
					t.Errorf("seed %d: task %d need not wait for %d", seed, i, all[k])
				}
			}
			n.Tasks[i].After = all
		}
	}
}
