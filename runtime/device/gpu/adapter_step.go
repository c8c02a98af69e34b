package gpu

import (
	"fmt"
	"slices"

	"llmc/engine"
	"llmc/internal/sym"
)

// check refuses places in which no adapter is.
func (a *adapters) check(step *engine.Step) error {
	for b, place := range step.Adapters {
		if place > 0 && a.loaded[place] == nil {
			return fmt.Errorf("sequence %d: no adapter is loaded in place %d", b, place)
		}
	}
	return nil
}

// begin finds the rows of the step that have adapters.
func (a *adapters) begin(step *engine.Step) {
	for i := range a.lists {
		a.lists[i].reset()
	}
	a.now = slices.ContainsFunc(step.Adapters, func(place int32) bool { return place > 0 })
	if !a.now {
		return
	}
	tokens, rows := &a.lists[ofTokens], &a.lists[ofRows]
	for b, place := range step.Adapters {
		for range step.SeqStart[b+1] - step.SeqStart[b] {
			tokens.add(place)
		}
	}
	for len(tokens.places) < step.T() {
		tokens.add(0) // padding
	}
	for i := range step.Rows {
		rows.add(tokens.places[step.Rows[i].Token])
	}
}

func (r *rowPlaces) reset() { r.places, r.items, r.used = r.places[:0], r.items[:0], r.used[:0] }

// add appends a row, to the last item if it continues that.
func (r *rowPlaces) add(place int32) {
	row := int32(len(r.places))
	r.places = append(r.places, place)
	if place == 0 {
		return
	}
	if n := len(r.items); n > 0 {
		last := r.items[n-itemInts:]
		if last[0] == place && last[1]+last[2] == row && last[2] < engine.AdapterItemRows {
			last[2]++
			return
		}
	}
	r.items = append(r.items, place, row, 1, 0)
	if !slices.Contains(r.used, place) {
		r.used = append(r.used, place)
	}
}

// wanted returns what runs in place of a launch in the step at hand, and how many parts of ranks its adapters have at most; nil where the launch itself runs.
func (a *adapters) wanted(launch int) (n *adapted, parts int) {
	if !a.now || a.of[launch] == nil {
		return nil, 0
	}
	n = a.of[launch]
	for _, place := range a.lists[n.list].used {
		parts = max(parts, n.parts[place])
	}
	if parts == 0 {
		return nil, 0
	}
	return n, parts
}

// queue launches the product of a step with so many items.
func (n *adapted) queue(d Driver, env sym.Env, items, parts int) error {
	if empty, err := n.down.setGrid(&n.Down, sym.Bind(int64(items), 0, int64(parts), 0)); empty || err != nil {
		return fmt.Errorf("launch %s: a grid for adapters without CTAs (%v)", n.down.Label, err)
	}
	if err := d.Launch(&n.down); err != nil {
		return fmt.Errorf("launch %s, for adapters: %w", n.down.Label, err)
	}
	return n.launch.queue(d, env)
}

// queueLaunch queues a launch of a step of the given sizes, or what runs in its place.
func (m *Model) queueLaunch(f *function, i int, env sym.Env) error {
	if n, parts := m.adapters.wanted(i); n != nil && f == m.function {
		return n.queue(m.driver, env, len(m.adapters.lists[n.list].items)/itemInts, parts)
	}
	return f.launches[i].queue(m.driver, env)
}
