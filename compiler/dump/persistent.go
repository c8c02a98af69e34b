package dump

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"llmc/engine"
	"llmc/internal/cli"
)

// Persistent is an entry that stands for many launches in steps of few tokens.
type Persistent struct {
	Entry       string   `json:"entry"`
	Tokens      int64    `json:"tokens"`                 // the steps that it serves have at most so many
	PerSequence int64    `json:"per_sequence,omitempty"` // of one sequence at most so many; absent: any number
	Threads     int      `json:"threads"`
	Shared      int64    `json:"shared"` // of a CTA in bytes
	Launches    int      `json:"launches"`
	Bodies      []string `json:"bodies"`
	Tasks       []Task   `json:"tasks"`
}

// Task is a launch as part of a persistent entry.
type Task struct {
	Label string    `json:"label"`
	Body  string    `json:"body"`
	Grid  [3]string `json:"grid"`  // blocks, by the sizes of the step
	After []int     `json:"after"` // numbers of the tasks that it waits for
}

func newPersistent(program *engine.Program) (list []Persistent) {
	for i := range program.Persistent {
		n := &program.Persistent[i]
		p := Persistent{Entry: n.Entry, Tokens: n.Tokens, PerSequence: n.PerSequence, Threads: n.Threads, Shared: int64(n.Shared), Launches: n.Launches, Bodies: n.Bodies}
		for _, t := range n.Tasks {
			l := &program.Launches[t.Launch]
			code := l.CodeFor(n.Tokens)
			task := Task{Label: l.Label, Body: code.Entry, After: append([]int{}, t.After...)}
			for d, e := range code.Grid {
				task.Grid[d] = e.String()
			}
			p.Tasks = append(p.Tasks, task)
		}
		list = append(list, p)
	}
	return list
}

func (p *Persistent) String() string {
	text := fmt.Sprintf("%s runs %d launches as %d tasks in steps of up to %s", p.Entry, p.Launches, len(p.Tasks), tokens(p.Tokens))
	if p.PerSequence > 0 {
		text += fmt.Sprintf(", up to %d of a sequence", p.PerSequence)
	}
	return text
}

// writePersistent prints the entries of a program, or why there are none.
func (p *Program) writePersistent(w io.Writer) {
	for i := range p.Persistent {
		fmt.Fprintf(w, "persistent\t%s: %v\n", p.Target, &p.Persistent[i])
	}
	for _, reason := range p.Unpersistent {
		fmt.Fprintf(w, "launches\t%s: %s\n", p.Target, reason)
	}
}

// writeTasks prints the lists of tasks.
func (p *Program) writeTasks(w io.Writer) error {
	for i := range p.Persistent {
		n := &p.Persistent[i]
		if _, err := fmt.Fprintf(w, "\n%v: %d threads, %s of shared memory\n", n, n.Threads, cli.FormatBytes(n.Shared)); err != nil {
			return err
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "task\tlaunch\tbody\tblocks\tafter")
		for number, task := range n.Tasks {
			fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", number, task.Label, task.Body, strings.Join(task.Grid[:], " x "), strings.Trim(fmt.Sprint(task.After), "[]"))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}
