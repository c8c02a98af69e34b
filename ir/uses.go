package ir

import "strconv"

// Use is one place where a value is read: an operand of an op, or with Op nil a result of the function.
type Use struct {
	Op    *Op
	Index int
}

// Uses returns where each value of f is read, weights included, in order of execution.
func (f *Func) Uses() map[*Value][]Use {
	uses := map[*Value][]Use{}
	for _, op := range f.Ops {
		for i, a := range op.Args {
			if a != nil {
				uses[a] = append(uses[a], Use{op, i})
			}
		}
	}
	for i, r := range f.Results {
		uses[r] = append(uses[r], Use{nil, i})
	}
	return uses
}

// WeightUses returns the ops that read each weight, over all functions in order.
func (m *Module) WeightUses() map[*Weight][]*Op {
	uses := map[*Weight][]*Op{}
	for _, f := range m.Funcs {
		for _, op := range f.Ops {
			for _, a := range op.Args {
				if a != nil && a.Weight != nil {
					uses[a.Weight] = append(uses[a.Weight], op)
				}
			}
		}
	}
	return uses
}

// Replace makes every reader of old read new instead.
func (f *Func) Replace(old, new *Value) {
	for _, op := range f.Ops {
		for i, a := range op.Args {
			if a == old {
				op.Args[i] = new
			}
		}
	}
	for i, r := range f.Results {
		if r == old {
			f.Results[i] = new
		}
	}
}

// Names returns the names that new values and weights must not take: those of all weights, parameters and results.
func (m *Module) Names() map[string]bool {
	names := map[string]bool{}
	for _, w := range m.Weights {
		names[w.Name] = true
	}
	for _, f := range m.Funcs {
		f.eachValue(func(v *Value) {
			if v.Name != "" {
				names[v.Name] = true
			}
		})
	}
	return names
}

// Fresh returns base, or base with the first number that makes it new, and adds it to names.
func Fresh(names map[string]bool, base string) string {
	name := base
	for i := 2; names[name]; i++ {
		name = base + "." + strconv.Itoa(i)
	}
	names[name] = true
	return name
}
