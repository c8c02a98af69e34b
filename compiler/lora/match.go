package lora

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"llmc/compiler/hf"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/ir"
)

// joint is what the adapter adds to one weight of the model's plan: the modules whose rows that was made of, with ranks one behind the other.
type joint struct {
	weight  string
	k, n    int64
	rank    int64
	recipe  *ir.Recipe
	parts   []part
	modules map[*hf.AdapterPair]bool
}

// part is one module in a joint. Rows that come of a turned matrix are turned as it is.
type part struct {
	pair   *hf.AdapterPair
	turned *ir.Recipe // the source that rows are taken of, when it is a turned matrix
	scale  []float32  // what was multiplied into its columns
	at     int64      // its first rank
}

// matcher finds the modules of an adapter in the weights of a plan.
type matcher struct {
	base  *engine.Plan
	pairs []hf.AdapterPair
	names map[string]*hf.AdapterPair            // by the name of the tensor that recipes have
	taken map[*hf.AdapterPair]map[[2]int64]bool // rows of its tensor that weights were made of
	read  map[string]bool                       // weights that programs read beside which adapters are served
}

// productKernels are those of CPUs that adapters add to.
var productKernels = []string{"cpu.linear", "cpu.linear_swiglu"}

// adaptedLaunches are the launches of a program that adapters add to: on CPUs all products, on GPUs those that the plan was built with code for.
func adaptedLaunches(p *engine.Program, device string) (numbers []int) {
	for i := range p.Launches {
		if device == "cpu" && slices.Contains(productKernels, p.Launches[i].Kernel) || p.AdaptedOf(i) != nil {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

// match returns a joint for each weight that the adapter changes, in the order of the plan.
func (m *matcher) match() ([]*joint, error) {
	products, err := m.products()
	if err != nil {
		return nil, err
	}
	var all, other []*joint
	mentioned := map[string]bool{}
	for _, w := range m.base.Weights() {
		if w.Recipe == "" || len(w.Shape) < 2 {
			continue
		}
		k := w.Shape[len(w.Shape)-1]
		recipe, err := ir.ParseRecipe(w.Recipe, k)
		if err != nil {
			return nil, fmt.Errorf("%s: weight %s: %w", m.base.Path(), w.Name, err)
		}
		j := &joint{weight: w.Name, k: k, n: recipe.Rows(k), recipe: recipe, modules: map[*hf.AdapterPair]bool{}}
		eachTensor(recipe, func(leaf *ir.Recipe) { mentioned[leaf.Tensor] = true })
		if products[w.Name] && len(w.Shape) == 2 {
			all = append(all, j)
		} else {
			other = append(other, j)
		}
	}
	if err := m.resolve(mentioned); err != nil {
		return nil, err
	}
	for _, j := range other {
		if err := m.refuse(j); err != nil {
			return nil, err
		}
	}
	for _, j := range all {
		if err := m.collect(j); err != nil {
			return nil, fmt.Errorf("weight %s: %w", j.weight, err)
		}
	}
	all = slices.DeleteFunc(all, func(j *joint) bool { return j.rank == 0 })
	return all, m.checkTaken()
}

// products returns the weights of the model's products that adapters can add to: those of programs for CPUs, and for GPUs where the plan was built for that.
func (m *matcher) products() (map[string]bool, error) {
	if m.base.Info().Adapter != nil {
		return nil, fmt.Errorf("%s: is an adapter itself; --base is the plan of the model", m.base.Path())
	}
	products := map[string]bool{}
	m.read = map[string]bool{}
	programs := 0
	for _, name := range m.base.Targets(engine.StepFunc) {
		t, err := engine.FindTarget(name)
		if err != nil {
			continue
		}
		program, err := m.base.Program(engine.StepFunc, name)
		if err != nil {
			return nil, err
		}
		launches := adaptedLaunches(program, t.Device)
		if len(launches) == 0 {
			continue
		}
		programs++
		for _, w := range program.Weights {
			m.read[w] = true
		}
		for _, i := range launches {
			l := &program.Launches[i]
			products[program.Weights[engine.FindKernel(l.Kernel).Operand(l, "w").Index]] = true
		}
	}
	if programs == 0 || len(m.base.Functions()) != 1 {
		return nil, fmt.Errorf("%s: %w", m.base.Path(), engine.ErrNoAdapters)
	}
	return products, nil
}

// eachTensor visits what a recipe takes of tensors, but for the scales of columns.
func eachTensor(r *ir.Recipe, visit func(leaf *ir.Recipe)) {
	switch r.Kind {
	case ir.FromTensor:
		visit(r)
	case ir.Rotated:
		eachTensor(r.Parts[0], visit)
	default:
		for _, p := range r.Parts {
			eachTensor(p, visit)
		}
	}
}

// resolve finds the tensor of each module among those that the plan was made of.
func (m *matcher) resolve(mentioned map[string]bool) error {
	m.names, m.taken = map[string]*hf.AdapterPair{}, map[*hf.AdapterPair]map[[2]int64]bool{}
	for i := range m.pairs {
		p := &m.pairs[i]
		names := p.TensorNames()
		at := slices.IndexFunc(names, func(name string) bool { return mentioned[name] })
		if at < 0 {
			return p.Down.Errorf("adapts a weight that %s was not made of: is it of another model?", m.base.Path())
		}
		m.names[names[at]], m.taken[p] = p, map[[2]int64]bool{}
	}
	return nil
}

// refuse refuses adapters of weights to which nothing can be added, unless only programs read them beside which no adapters are served.
func (m *matcher) refuse(j *joint) error {
	var err error
	eachTensor(j.recipe, func(leaf *ir.Recipe) {
		if p := m.names[leaf.Tensor]; p != nil && err == nil && m.read[j.weight] {
			err = p.Down.Errorf("adapts weight %s, which is looked up or read by experts or heads: merge the adapter with llmc build --lora", j.weight)
		}
	})
	return err
}

// collect finds the modules of a weight and gives them their ranks.
func (m *matcher) collect(j *joint) error {
	var err error
	for run := range j.recipe.Runs(j.k, 0, j.n) {
		source := run.Source
		if source.Kind != ir.FromTensor && source.Kind != ir.Rotated {
			continue
		}
		eachTensor(source, func(leaf *ir.Recipe) {
			if p := m.names[leaf.Tensor]; p != nil && err == nil {
				err = m.addPart(j, p, source, leaf)
			}
		})
	}
	if err == nil && len(j.modules) > engine.AdapterModules {
		err = fmt.Errorf("is made of %d modules that the adapter changes, at most %d: merge it with llmc build --lora", len(j.modules), engine.AdapterModules)
	}
	return err
}

// addPart adds a module to a joint, once for each matrix that its rows are taken of.
func (m *matcher) addPart(j *joint, p *hf.AdapterPair, source, leaf *ir.Recipe) error {
	width := j.k
	if leaf.Total > 0 {
		width = leaf.Total
	}
	switch {
	case leaf.Transform != "":
		return fmt.Errorf("holds tensor %q mapped by %s, to which no product can be added", leaf.Tensor, leaf.Transform)
	case source.ByRow:
		return fmt.Errorf("holds tensor %q with its rows scaled by a calibration: merge the adapter with llmc build --lora", leaf.Tensor)
	case p.Down.Cols() != width || leaf.Start+leaf.Count > p.Up.Rows():
		return p.Down.Errorf("has shape %v, and lora_B %v: their product does not fit rows %d:%d of %d columns of tensor %q", p.Down.Shape, p.Up.Shape, leaf.Start, leaf.Start+leaf.Count, width, leaf.Tensor)
	}
	m.taken[p][[2]int64{leaf.Start, leaf.Count}] = true
	n := part{pair: p, at: j.rank}
	if source.Kind == ir.Rotated {
		n.turned = source.Whole(j.k)
	}
	if slices.ContainsFunc(j.parts, func(have part) bool { return have.pair == p && sameTurn(have.turned, n.turned) }) {
		return nil
	}
	if n.turned != nil && n.turned.Scale() != nil {
		var err error
		if n.scale, err = m.vector(n.turned.Scale(), j.k); err != nil {
			return err
		}
	}
	j.parts, j.rank, j.modules[p] = append(j.parts, n), j.rank+p.Down.Rows(), true
	return nil
}

func sameTurn(a, b *ir.Recipe) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(b)
}

// vector returns a vector of the checkpoint that the plan keeps for this.
func (m *matcher) vector(recipe *ir.Recipe, n int64) ([]float32, error) {
	text := recipe.String()
	for _, w := range m.base.Weights() {
		if w.Recipe == text && w.Layout == "" && w.DType == "f32" && w.Bytes == 4*n {
			data := make([]byte, w.Bytes) // not the mapping, which a file that is cut short would make a fault
			if err := m.base.ReadWeight(&w, data, 0); err != nil {
				return nil, err
			}
			x := make([]float32, n)
			hf.Converter(dtype.F32)(x, data)
			return x, nil
		}
	}
	return nil, fmt.Errorf("was turned together with the weights of a norm (%s), which %s does not hold: build it with llmc build --max-lora-rank 64", text, m.base.Path())
}

// checkTaken wants every row of every module to have a place. A vocabulary may be shorter than its tensor.
func (m *matcher) checkTaken() error {
	var errs []error
	for i := range m.pairs {
		p := &m.pairs[i]
		rows := covered(m.taken[p])
		if rows != p.Up.Rows() && rows != int64(m.base.Info().Vocab) {
			errs = append(errs, p.Up.Errorf("has shape %v; %s has %d rows of that weight: is it of another model?", p.Up.Shape, m.base.Path(), rows))
		}
	}
	return errors.Join(errs[:min(len(errs), 1)]...)
}

// covered is how many rows ranges of (first, count) have together: programs of several devices may take them in other ranges.
func covered(ranges map[[2]int64]bool) (rows int64) {
	end := int64(0)
	for _, r := range slices.SortedFunc(maps.Keys(ranges), func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) }) {
		rows += max(0, r[0]+r[1]-max(end, r[0]))
		end = max(end, r[0]+r[1])
	}
	return rows
}
