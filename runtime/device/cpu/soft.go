package cpu

import (
	"fmt"

	"llmc/engine"
)

// soft takes the rows that the step brings. Run has checked that there are as many numbers as tokens have.
type soft struct{ y view }

func bindSoft(b *binding) (runner, error) {
	y, err := b.view("y")
	if err != nil {
		return nil, err
	}
	b.f.soft = y.cols
	return &soft{y}, nil
}

func (l *soft) run(s *state, worker int) {
	lo, hi := share(s.step.T(), worker, s.workers)
	for t := lo; t < hi; t++ {
		copy(l.y.row(t), s.step.Soft[t*l.y.cols:(t+1)*l.y.cols])
	}
}

// insert takes the rows that the step brings in place of those of some tokens. checkInserted has looked at both.
type insert struct{ x, y view }

func bindInsert(b *binding) (runner, error) {
	v, err := b.views("x", "y")
	if err != nil {
		return nil, err
	}
	b.f.inserts = v[1].cols
	return &insert{v[0], v[1]}, nil
}

func (l *insert) run(s *state, worker int) {
	lo, hi := share(s.step.T(), worker, s.workers)
	for t := lo; t < hi; t++ {
		row := l.x.row(t)
		if len(s.step.Types) > 0 && s.step.Types[t] == 1 {
			row = s.step.Soft[t*l.y.cols : (t+1)*l.y.cols]
		}
		copy(l.y.row(t), row)
	}
}

// checkInserted wants a step without rows, or a row and a type for each token.
func (f *function) checkInserted(step *engine.Step) error {
	if len(step.Types) == 0 && len(step.Soft) == 0 {
		return nil
	}
	if f.inserts == 0 {
		return fmt.Errorf("step brings rows in place of tokens; function %s reads tokens alone", f.program.Func)
	}
	if len(step.Types) != step.T() || len(step.Soft) != step.T()*f.inserts {
		return fmt.Errorf("step of %d tokens brings %d types and %d numbers; function %s takes rows of %d", step.T(), len(step.Types), len(step.Soft), f.program.Func, f.inserts)
	}
	for t, kind := range step.Types {
		if kind != 0 && kind != 1 {
			return fmt.Errorf("token %d: type %d of 2", t, kind)
		}
	}
	return nil
}
