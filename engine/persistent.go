package engine

import (
	"fmt"
	"slices"

	"llmc/internal/sym"
)

// Persistent is an entry that stands for the first launches of a program in steps of few tokens: one launch, whose CTAs stay until all of them are
// done. There are as many CTAs as the card has room for at a time, any number from one on. Each walks the list of tasks in order; of a task of n
// blocks, which are the CTAs of the launch that it stands for, CTA c of G has blocks c, c+G, c+2G, ... Before its first one it waits until the
// tasks that this one comes after have counted all of their blocks, and behind its last one it counts those that it had. The list is made when
// the plan is built, and checked there and wherever the plan is opened: see checkPersistent. Results are those of the launches, bit for bit.
//
// Parameters are slots of 8 bytes: the addresses of the records of tasks, of their arguments, of what they wait for and of the counters; the
// number of tasks; then T, B, R, the positions of a page and the bytes from a page to the next. A record has eight u32: the number of the task's
// body, the size of the grid in x and y, the number of blocks, the place of its first wait, the number of its waits, and two that are zero. A
// wait is the number of a task and how many blocks it counts, two u32. Arguments are ArgumentSlots slots for each task, which begin with those of Code. Counters
// are one u32 for each task and one more; they are zero before and after each launch.
type Persistent struct {
	Entry         string
	Threads       int   // of a CTA
	Shared        int   // dynamic shared memory, bytes
	Tokens        int64 // the steps that it serves have at most so many
	PerSequence   int64 // of one sequence at most so many; 0: any number
	ArgumentSlots int
	Bodies        []string // the entries that it does the work of, by number
	Launches      int      // so many from the first on are left out where it runs
	Tasks         []Task
}

// Task is a launch as part of a persistent entry.
type Task struct {
	Launch int
	After  []int // tasks of which all blocks must be done
}

// Words of the records that the entry reads.
const (
	TaskWords = 8
	WaitWords = 2
)

// Bounds of a list. It is checked in time and memory by the square of its tasks; each of a task's waits is a thread's.
const (
	MaxTasks = 1 << 11
	MaxWaits = 32
)

// Serves tells whether a step may be run by the entry: tokens is the most of one sequence.
func (p *Persistent) Serves(env sym.Env, perSequence int64) bool {
	return env[sym.T] >= 1 && env[sym.B] >= 1 && env[sym.T] <= p.Tokens && env[sym.B] <= p.Tokens && env[sym.R] <= p.Tokens &&
		(p.PerSequence == 0 || perSequence <= p.PerSequence)
}

// CodeFor returns the launch's entry for all steps of up to so many tokens, sequences and sampled rows.
func (l *Launch) CodeFor(tokens int64) *Code { return l.CodeOf(sym.Bind(tokens, tokens, tokens, 0)) }

// Idle tells whether the entry never has a CTA.
func (c *Code) Idle() bool {
	return slices.ContainsFunc(c.Grid[:], func(e Extent) bool { return e.Of == sym.Dim{} })
}

// neverIdle tells whether it has one in every step with a token, whatever is sampled.
func (c *Code) neverIdle() bool {
	for _, e := range c.Grid {
		if n, err := e.Eval(sym.Bind(1, 1, 0, 0)); err != nil || n < 1 {
			return false
		}
	}
	return true
}

// Blocks is the number of CTAs of a step.
func (c *Code) Blocks(env sym.Env) (grid [3]int64, all int64, err error) {
	all = 1
	for i, e := range c.Grid {
		if grid[i], err = e.Eval(env); err != nil {
			return grid, 0, err
		}
		if all *= grid[i]; all > maxGrid {
			return grid, 0, fmt.Errorf("entry %s: more than %d CTAs", c.Entry, maxGrid)
		}
	}
	return grid, all, nil
}
