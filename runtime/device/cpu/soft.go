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
