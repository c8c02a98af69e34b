package cpu

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

// insert takes the rows that the step brings in place of those of some tokens. limits.CheckInserted has looked at both.
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
