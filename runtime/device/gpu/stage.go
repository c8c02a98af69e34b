package gpu

import (
	"llmc/engine"
	"llmc/engine/partition"
	"llmc/internal/sym"
)

// stage is a model's part in a pipeline; the zero value is a model of all layers.
type stage struct {
	*partition.Stage
	number        int
	before, after way // rows come, and go; nil at the ends
	// tokens go from cards of the last stage to those of the first, without the host, when a step wants those of the step before; nil where the host knows them.
	tokens way
	rows   int64   // that the step before sampled
	cells  []int32 // what ids of the next step become, by row of the step before; nil on the card that answers
	member member
}

// way is how a card hands something on to a card of the next stage, once for each step. One side of it is called by the card that gives, in its turn with launches, the other by the one that
// takes.
type way interface {
	// clear waits until what was given in the step before has been taken: it may be written again behind it.
	clear() error
	// give says that what is to be handed on is there, behind what is queued: of a step of the given sizes.
	give(env sym.Env) error
	// take brings it here, before what is queued next.
	take(env sym.Env) error
	// fail has both sides stop waiting, or wait again where there is no reason to fail.
	fail(err error)
}

// Stages takes the programs of a plan's functions apart into a pipeline's stages.
func Stages(plan *engine.Plan, programs []*engine.Program, pp int) ([]*partition.Stage, error) {
	main, beside := programs[0], []string(nil)
	for _, p := range programs {
		if p.Func == plan.Main() {
			main = p
		} else {
			beside = append(beside, p.Func)
		}
	}
	if err := partition.OnlySteps(pp, main.Func, beside); err != nil {
		return nil, err
	}
	parts := map[string]*engine.WeightEntry{}
	for i, name := range main.Weights {
		w, _, err := plan.Weight(name)
		if err != nil {
			return nil, err
		}
		if parts[name], err = main.PartOf(i, w); err != nil {
			return nil, err
		}
	}
	return partition.Cut(main, func(name string) *engine.WeightEntry { return parts[name] }, pp)
}

// samples tells whether rows' tokens are found by this card.
func (s *stage) samples() bool { return s.Stage == nil || s.Last() }

// begin comes before a step's launches.
func (s *stage) begin(step *engine.Step) error {
	if s.Stage == nil {
		return nil
	}
	before := sym.Bind(0, 0, s.rows, 0)
	if s.tokens != nil && s.Last() && namesCells(step) { // nobody clears the cells before rows of this step have come
		if err := s.tokens.give(before); err != nil {
			return err
		}
	}
	if s.after != nil {
		if err := s.after.clear(); err != nil {
			return err
		}
	}
	if s.before != nil {
		if err := s.before.take(step.Sizes()); err != nil {
			return err
		}
	}
	if s.tokens != nil && s.First() && namesCells(step) {
		return s.tokens.take(before)
	}
	return nil
}

// end comes behind them.
func (s *stage) end(step *engine.Step) error {
	if s.Stage == nil {
		return nil
	}
	env := step.Sizes()
	if s.rows = env[sym.R]; s.after != nil {
		return s.after.give(env)
	}
	return nil
}

// namesCells tells whether tokens of a step are still to be found by the step before.
func namesCells(step *engine.Step) bool {
	for _, id := range step.IDs {
		if id < 0 {
			return true
		}
	}
	return false
}

// fail has cards that hand something on to each other stop waiting.
func (s *stage) fail(err error) {
	for _, w := range []way{s.before, s.after, s.tokens} {
		if w != nil {
			w.fail(err)
		}
	}
}

// moved are the bytes of buffers that a step of the given sizes has, in slots of two cards.
func moved(to, from *function, buffers []int, env sym.Env, list []Moved) ([]Moved, error) {
	for _, i := range buffers {
		b := &to.program.Buffers[i]
		rows, err := b.Rows.Eval(env)
		if err != nil {
			return nil, err
		}
		last, err := b.RowBytes()
		if err != nil {
			return nil, err
		}
		if rows > 0 {
			list = append(list, Moved{to.slots[b.Slot], from.slots[b.Slot], b.Offset, (rows-1)*b.Stride + last})
		}
	}
	return list, nil
}
