package cpu

// RelieveSteps implements engine.Reliever. Among several ranks it is the part of this one.
func (m *model) RelieveSteps() {
	for _, f := range m.functions {
		f.arena.relieve(0, int64(len(f.arena)))
	}
	for _, mem := range m.gathered.workers {
		mem.relieve(0, int64(len(mem)))
	}
	for _, t := range m.turns {
		for i := range t.scratch {
			mem := t.scratch[i].pages
			mem.relieve(0, int64(len(mem)))
		}
	}
}

// RelievePages implements engine.Reliever: of spans none of whose pages is used. Among several ranks it is the part of this one.
func (m *model) RelievePages(first, end int, used func(page int32) bool) {
	if m.kv != nil {
		m.kv.relieve(first, min(end, m.kv.pages), used)
	}
}

func (p *kvPool) relieve(first, end int, used func(page int32) bool) {
	from, to := int64(0), int64(0) // bytes of spans that follow each other
	for ; first < end; first = (first/p.spanPages + 1) * p.spanPages {
		last := min((first/p.spanPages+1)*p.spanPages, p.pages)
		if first%p.spanPages != 0 || last > end || p.anyUsed(first, last, used) {
			continue
		}
		at := int64(first/p.spanPages) * p.spanBytes
		if at != to {
			p.mem.relieve(from, to)
			from = at
		}
		to = at + p.spanBytes
	}
	p.mem.relieve(from, to)
}

func (p *kvPool) anyUsed(first, end int, used func(page int32) bool) bool {
	for page := first; page < end; page++ {
		if used(int32(page)) {
			return true
		}
	}
	return false
}
