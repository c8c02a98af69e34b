package runtime

import "llmc/engine"

// relievedPages are looked through at a time, with requests shut out: a few milliseconds, whatever a page has.
const relievedPages = 256

// relieve gives back the memory of steps and of KV pages that hold nothing. No step is in flight. Prompts that are cached stay so.
func (e *Engine) relieve() {
	e.memory, e.out, e.outputs, e.copies = [2]flight{}, nil, nil, nil
	e.drafter.relieve()
	e.mu.Lock()
	e.sched.Relieve()
	e.mu.Unlock()
	m, ok := e.model.(engine.Reliever)
	if !ok {
		return
	}
	m.RelieveSteps()
	_, pages := e.model.Limits()
	for first := 0; first < pages; first += relievedPages {
		e.mu.Lock()
		if e.sched.HasWork() {
			e.mu.Unlock()
			return
		}
		m.RelievePages(first, first+relievedPages, func(page int32) bool { return !e.sched.PageFree(page) })
		e.mu.Unlock()
	}
}
