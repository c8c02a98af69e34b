package compiler

import (
	"fmt"
	"strings"

	"llmc/ir"
)

// weightTable is what a plan is going to store, in order: the weights of its targets, each distinct one once.
type weightTable struct {
	jobs   []*packJob
	byName map[string]*packJob
	rows   map[string]bool // of the rows that codes are made of, by name of the weight and format
}

func newWeightTable() *weightTable {
	return &weightTable{byName: map[string]*packJob{}, rows: map[string]bool{}}
}

// add takes in the weights of a module that has gone through the passes. Where the table has the same weight already, the module shares it.
// Where it has another one of that name, packed for kernels of another device, the module's is renamed: NAME/LAYOUT, so that the name
// does not depend on the target that needed it first.
func (t *weightTable) add(m *ir.Module) error {
	for _, w := range m.Weights {
		if w.Part == nil {
			if err := t.addWeight(w); err != nil {
				return err
			}
			continue
		}
		whole, part := w.Whole(m.Cards), *w.Part
		if err := t.addWeight(whole); err != nil {
			return err
		}
		part.Of = whole.Name
		w.Part = &part
	}
	return nil
}

func (t *weightTable) addWeight(w *ir.Weight) error {
	name := w.Name
	for n := 2; ; n++ {
		stored := t.byName[w.Name]
		if stored == nil {
			return t.store(w)
		}
		if sameWeight(stored.weight, w) {
			return nil
		}
		if n == 2 {
			w.Name = name + "/" + storage(w)
		} else {
			w.Name = fmt.Sprintf("%s/%s/%d", name, storage(w), n)
		}
	}
}

// storage is what tells apart the ways to store a weight.
func storage(w *ir.Weight) string {
	if w.Type.Layout != "" {
		return w.Type.Layout
	}
	return w.Type.DType.String()
}

// store takes in a weight. Those whose names differ in the storage alone have the same rows, if perhaps in other orders.
func (t *weightTable) store(w *ir.Weight) error {
	j, err := newPackJob(w, len(t.jobs))
	if err != nil {
		return err
	}
	if j.format != nil {
		name, _, _ := strings.Cut(w.Name, "/")
		rows := j.format.Name + " " + name
		j.repeats = t.rows[rows]
		t.rows[rows] = true
	}
	t.jobs, t.byName[w.Name] = append(t.jobs, j), j
	return nil
}

// of returns the jobs of a module's weights.
func (t *weightTable) of(m *ir.Module) []*packJob {
	var jobs []*packJob
	for _, w := range m.Weights {
		jobs = append(jobs, t.byName[w.Name])
	}
	return jobs
}

// sameWeight tells whether two weights are the same bytes, read in the same order.
func sameWeight(a, b *ir.Weight) bool {
	return a.Type.Equal(b.Type) && a.Segment == b.Segment && a.Recipe.String() == b.Recipe.String()
}
