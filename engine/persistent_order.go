package engine

// Order lists the launches that a persistent entry stands for as tasks, each after those that it has to come after and no others: of what
// conflicts with it, those that another one does not come after already. It says nothing about the entry.
func (p *Program) Order(n *Persistent) error {
	n.Tasks = nil
	var touched [][]access
	var codes []*Code
	var after []taskSet // by task, what is done when it begins
	for i := range n.Launches {
		l := &p.Launches[i]
		c := l.CodeFor(n.Tokens)
		if c.Idle() {
			continue
		}
		mine, err := p.accesses(l)
		if err != nil {
			return err
		}
		t := Task{Launch: i}
		for before := len(n.Tasks) - 1; before >= 0; before-- {
			if x, _ := conflict(touched[before], mine); x != nil && !t.doneBefore(n.Launches, codes, after).has(before) {
				t.After = append(t.After, before)
			}
		}
		after = append(after, t.doneBefore(n.Launches, codes, after))
		n.Tasks, touched, codes = append(n.Tasks, t), append(touched, mine), append(codes, c)
	}
	return nil
}
