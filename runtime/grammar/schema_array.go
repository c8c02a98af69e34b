package grammar

import (
	"slices"

	"llmc/runtime/server/strictjson"
)

// maxArrayNodes is how many nodes the graph of an array may have: places times what is counted at each.
const maxArrayNodes = 1 << 14

// counting is what "contains" and its like say; of is nil where there is no "contains".
type counting struct {
	of          *node
	from        int // the first item that is looked at
	least, most int // most < 0: any number
}

func (n *node) counting() (c counting, err error) {
	if c.of = n.one["contains"]; c.of == nil {
		return c, nil
	}
	var ok bool
	c.from, _, _ = n.count("!from")
	if c.least, ok, err = n.count("minContains"); !ok {
		c.least = 1
	}
	if err != nil {
		return c, err
	}
	if c.most, ok, err = n.count("maxContains"); !ok {
		c.most = -1
	}
	c.most = min(c.most, maxRepeat)
	return c, err
}

// item is what a schema says of the item at a place; nil: nothing.
func (n *node) item(i int) *node {
	if list := n.many["prefixItems"]; i < len(list) {
		return list[i]
	}
	return n.one["items"]
}

// array is what the schemas of a conjunction say of arrays.
type array struct {
	s           *schema
	c           conjunction
	least, most int // most < 0: any number
	end         int // from here on every further item is like the last
	alike       int // items from here on are under the same schemas
	counts      []counting
}

// arrayOf is the expression of arrays.
func (s *schema) arrayOf(c conjunction, _ typeSet) (e *expr, err error) {
	a := &array{s: s, c: c}
	if a.least, a.most, err = c.counts("minItems", "maxItems"); err != nil {
		return nil, err
	}
	if err := a.read(); err != nil {
		return nil, err
	}
	var g *graph
	if slices.ContainsFunc(c, func(n *node) bool { return string(n.keywords["uniqueItems"]) == "true" }) && a.most != 0 && a.most != 1 {
		g, err = a.unique()
	} else {
		g, err = a.graph()
	}
	if err != nil {
		return nil, err
	}
	return seq(text("["), s.space, over(g), s.space, text("]")), nil
}

func (a *array) read() error {
	prefix, closes, open := 0, false, false
	for _, n := range a.c {
		list := n.many["prefixItems"]
		prefix = max(prefix, len(list))
		closes = closes || len(list) > 0 && !n.silent
		open = open || n.one["items"] != nil
		c, err := n.counting()
		if err != nil {
			return err
		}
		if c.of != nil {
			if c.least > maxRepeat {
				return wrong(n.where, "minContains: at most %d is supported in constrained output", maxRepeat)
			}
			a.counts = append(a.counts, c)
			a.alike = max(a.alike, c.from)
		}
	}
	a.alike = max(a.alike, prefix)
	if closes && !open && a.least <= prefix && (a.most < 0 || a.most > prefix) {
		a.most = prefix
	}
	a.end = max(a.least, a.alike, 1)
	if a.most >= 0 {
		a.end = a.most
	}
	return nil
}

// item is the expression of the item at a place that is also under further schemas.
func (a *array) item(i int, further ...*node) (*expr, error) {
	return a.s.value(a.itemNodes(i, further...))
}

func (a *array) itemNodes(i int, further ...*node) []*node {
	var all []*node
	for _, n := range a.c {
		if sub := n.item(i); sub != nil {
			all = append(all, sub)
		}
	}
	return append(all, further...)
}

// separated is an item or a property, behind others or not.
func (s *schema) separated(behind bool, e *expr) *expr {
	if behind {
		return seq(text(","), s.space, e)
	}
	return e
}

// arrayStep is one item at a place: what it is, and how it changes the counts.
type arrayStep struct {
	item *expr
	to   []int
}

// graph is the ways through the items. A node is a place and what has been counted there.
func (a *array) graph() (*graph, error) {
	size := 1
	caps := make([]int, len(a.counts))
	for k, c := range a.counts {
		caps[k] = max(c.least, c.most)
		if size *= caps[k] + 1; size*(a.end+1) > maxArrayNodes {
			return nil, tooLarge("%s: items times what contains counts", a.c[0].where)
		}
	}
	g := &graph{nodes: size * (a.end + 1)}
	var steps [][]arrayStep
	for i := 0; i < a.end || i == a.end && a.most < 0; i++ {
		if i <= a.alike {
			var err error
			if steps, err = a.steps(i, size, caps); err != nil {
				return nil, err
			}
		}
		for counted, list := range steps {
			for _, step := range list {
				next := min(i+1, a.end)
				g.edge(i*size+counted, next*size+packed(step.to, caps), a.s.separated(i > 0, step.item))
			}
		}
	}
	for i := a.least; i <= a.end; i++ {
		for counted := range size {
			enough := true
			for k, n := range unpacked(counted, caps) {
				enough = enough && n >= a.counts[k].least
			}
			if enough {
				g.final = append(g.final, i*size+counted)
			}
		}
	}
	return g, nil
}

// packed is counts as one number, unpacked the counts of one.
func packed(counts, caps []int) int {
	out := 0
	for k := range caps {
		out = out*(caps[k]+1) + counts[k]
	}
	return out
}

func unpacked(number int, caps []int) []int {
	out := make([]int, len(caps))
	for k := len(caps) - 1; k >= 0; k-- {
		out[k] = number % (caps[k] + 1)
		number /= caps[k] + 1
	}
	return out
}

// steps are the items that may come at a place, by what has been counted: each is counted by some of those that look at it, and surely not by those of the others that have a maximum.
func (a *array) steps(i, size int, caps []int) ([][]arrayStep, error) {
	out := make([][]arrayStep, size)
	items := map[int]*expr{}
	for counted := range out {
		before := unpacked(counted, caps)
	sets:
		for set := range 1 << len(a.counts) {
			var further []*node
			after := slices.Clone(before)
			for k, c := range a.counts {
				in := set>>k&1 == 1
				switch {
				case in && (i < c.from || c.most >= 0 && before[k] >= c.most || c.most < 0 && before[k] >= c.least):
					continue sets
				case in:
					further, after[k] = append(further, c.of), before[k]+1
				case i >= c.from && c.most >= 0:
					further = append(further, a.s.not(c.of))
				}
			}
			if items[set] == nil {
				item, err := a.item(i, further...)
				if err != nil {
					return nil, err
				}
				items[set] = item
			}
			if len(items[set].subs) > 0 {
				out[counted] = append(out[counted], arrayStep{items[set], after})
			}
		}
	}
	return out, nil
}

const (
	mostSets   = 8   // values of which all orders are written where none may come twice
	mostUnique = 512 // values of which one order is
)

// unique is the ways through items of which none is equal to another. Items have to be of few values, or of different ones at each place.
func (a *array) unique() (*graph, error) {
	if a.most > 0 && a.most <= a.alike && len(a.counts) == 0 && a.apart() {
		return a.graph()
	}
	var all []strictjson.Value
	position := map[string]int{}
	for i := range a.alike + 1 {
		values, ok, err := a.s.finite(a.itemNodes(i))
		if err != nil {
			return nil, err
		}
		if !ok || len(a.counts) > 0 || len(all) > mostUnique {
			return nil, wrong(a.c[0].where, "uniqueItems is supported in constrained output where items are one of at most %d values (enum), and there is no contains", mostUnique)
		}
		for _, v := range values {
			if _, known := position[canonical(v)]; !known {
				position[canonical(v)] = len(all)
				all = append(all, v)
			}
		}
	}
	if len(all) > mostSets {
		if a.alike > 0 {
			return nil, wrong(a.c[0].where, "uniqueItems beside prefixItems is supported in constrained output for at most %d values", mostSets)
		}
		return a.inOrder(all), nil
	}
	return a.subsets(position)
}

// apart tells whether the items at all places are surely different.
func (a *array) apart() bool {
	for i := range a.most {
		for j := range i {
			list, err := a.s.expandAll(append(a.itemNodes(i), a.itemNodes(j)...))
			if err != nil || len(list) > 0 {
				return false
			}
		}
	}
	return true
}

// inOrder is the ways through values in one order: node i is behind value i-1.
func (a *array) inOrder(all []strictjson.Value) *graph {
	most := len(all)
	if a.most >= 0 {
		most = min(most, a.most)
	}
	// Node (i, n): values up to i have been passed and n of them written, as far as that is bounded.
	counted := max(a.least, 1)
	if most < len(all) {
		counted = most
	}
	g := &graph{nodes: (len(all) + 1) * (counted + 1)}
	at := func(i, n int) int { return i*(counted+1) + min(n, counted) }
	for i, v := range all {
		for n := range counted + 1 {
			g.edge(at(i, n), at(i+1, n), empty)
			if n < most {
				g.edge(at(i, n), at(i+1, n+1), a.s.separated(n > 0, text(compactText(v))))
			}
		}
	}
	for n := a.least; n <= counted; n++ {
		g.final = append(g.final, at(len(all), n))
	}
	return g
}

// subsets is the ways through values in any order: node (i, set) has i items, which are those of set.
func (a *array) subsets(position map[string]int) (*graph, error) {
	sets, most := 1<<len(position), len(position)
	if a.most >= 0 {
		most = min(most, a.most)
	}
	g := &graph{nodes: (most + 1) * sets}
	for i := range most {
		values, _, err := a.s.finite(a.itemNodes(min(i, a.alike)))
		if err != nil {
			return nil, err
		}
		for set := range sets {
			for _, v := range values {
				if bit := 1 << position[canonical(v)]; set&bit == 0 {
					g.edge(i*sets+set, (i+1)*sets+set|bit, a.s.separated(i > 0, text(compactText(v))))
				}
			}
		}
	}
	for i := a.least; i <= most; i++ {
		for set := range sets {
			g.final = append(g.final, i*sets+set)
		}
	}
	return g, nil
}

// finite lists the values under some schemas; ok is false where they are not few.
func (s *schema) finite(all []*node) (out []strictjson.Value, ok bool, err error) {
	list, err := s.expandAll(all)
	if err != nil {
		return nil, false, err
	}
	for _, c := range list {
		values, finite, err := c.values()
		types, err2 := c.types()
		if err != nil || err2 != nil {
			return nil, false, firstOf(err, err2)
		}
		if !finite {
			if types&^(typeNull|typeBoolean) != 0 {
				return nil, false, nil
			}
			values = []strictjson.Value{strictjson.Value("null"), strictjson.Value("false"), strictjson.Value("true")}
		}
		for _, v := range values {
			holds, err := s.allHold(c, v)
			if err != nil {
				return nil, false, err
			}
			if holds && !slices.ContainsFunc(out, func(o strictjson.Value) bool { return canonical(o) == canonical(v) }) {
				out = append(out, v)
			}
		}
		if len(out) > mostUnique {
			return nil, false, nil
		}
	}
	return out, true, nil
}
