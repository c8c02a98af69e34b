package gpu

import (
	"fmt"
	"slices"

	"llmc/engine"
	"llmc/internal/sym"
)

// function is the program of one of the plan's functions, bound to memory. Functions run one after the other, over one pool of KV pages and one copy of the
// weights that they share.
type function struct {
	program  *engine.Program
	weights  []int    // by operand index: which of heldBy
	slots    []Memory // by slot of the program
	arrays   arrays
	launches []launch
	types    int    // that a token can have; 0: one, which need not be said
	soft     int    // numbers of a row that steps bring instead of a token, or may bring in place of one; 0: they bring none
	block    []byte // pinned: a step's arrays on their way, of functions that Run takes
}

// setFunctions makes programs the model's. They are those of all functions of a plan, for one target.
func (m *Model) setFunctions(programs []*engine.Program) {
	place := map[string]int{}
	for i, h := range heldBy(programs) {
		place[h.key()] = i
	}
	for _, p := range programs {
		f := &function{program: p, soft: softWidth(p)}
		for i, name := range p.Weights {
			h := held{name, p, i}
			f.weights = append(f.weights, place[h.key()])
		}
		m.functions = append(m.functions, f)
		if m.function == nil || p.Func == engine.StepFunc {
			m.function = f
		}
	}
}

// takeSlots allocates activations for steps of the given sizes. Those of a function lie where those of others do, its largest slot where their largest is.
func takeSlots(a allocator, functions []*function, env sym.Env) error {
	var most []int64
	orders := make([][]int, len(functions))
	for k, f := range functions {
		bytes := make([]int64, len(f.program.Slots))
		for i, slot := range f.program.Slots {
			var err error
			if bytes[i], err = slot.Eval(env); err != nil {
				return err
			}
			orders[k] = append(orders[k], i)
		}
		if len(functions) == 1 {
			most = bytes
			continue
		}
		slices.SortStableFunc(orders[k], func(i, j int) int { return int(max(-1, min(1, bytes[j]-bytes[i]))) })
		for place, i := range orders[k] {
			if place == len(most) {
				most = append(most, 0)
			}
			most[place] = max(most[place], bytes[i])
		}
	}
	memory := make([]Memory, len(most))
	for i, bytes := range most {
		var err error
		if memory[i], err = a.Alloc(fmt.Sprintf("activations %d", i), bytes); err != nil {
			return err
		}
	}
	for k, f := range functions {
		f.slots = make([]Memory, len(f.program.Slots))
		for place, i := range orders[k] {
			f.slots[i] = memory[place]
		}
	}
	return nil
}

// takeBlocks allocates what functions that Run takes have of the host's memory.
func (m *Model) takeBlocks() (err error) {
	for _, f := range m.functions {
		if f.program.Func == engine.StepFunc {
			continue
		}
		if f.block, err = m.driver.Pinned("arrays of "+f.program.Func, f.arrays.bytes); err != nil {
			return err
		}
	}
	return nil
}

// typesOf is how many types a token can have: the rows of the smallest table that is looked up by them; 0 where there is none.
func typesOf(plan *engine.Plan, program *engine.Program) (int, error) {
	types := 0
	for i := range program.Launches {
		l := &program.Launches[i]
		kernel := engine.FindKernel(l.Kernel)
		table := kernel.Operand(l, "table")
		if kernel.Operand(l, "types").Kind != engine.OperandInput || table.Kind != engine.OperandWeight {
			continue
		}
		w, _, err := plan.Weight(program.Weights[table.Index])
		if err != nil {
			return 0, err
		}
		if rows := int(w.N()); types == 0 || rows < types {
			types = rows
		}
	}
	return types, nil
}

// steps tells whether the plan serves generation: rows of steps are sampled. Else it has functions of whole sequences alone.
func (m *Model) steps() bool { return m.program.Func == engine.StepFunc }

// wholeSequences tells whether some function wants all tokens of a sequence in one step.
func (m *Model) wholeSequences() bool { return len(m.Functions()) > 0 }

// Functions implements engine.Runner.
func (m *Model) Functions() []string {
	var names []string
	for _, f := range m.functions {
		if f.program.Func != engine.StepFunc {
			names = append(names, f.program.Func)
		}
	}
	return names
}

// find returns a function that Run takes, nil if there is none of that name.
func (m *Model) find(name string) *function {
	i := slices.IndexFunc(m.functions, func(f *function) bool { return f.program.Func == name })
	if i < 0 || name == engine.StepFunc {
		return nil
	}
	return m.functions[i]
}

func noFunction(name string) error { return fmt.Errorf("the plan has no function %s", name) }

// Results implements engine.Runner.
func (m *Model) Results(function string) []engine.Buffer {
	f := m.find(function)
	if f == nil {
		return nil
	}
	return f.program.ResultBuffers()
}
