package grammar

import (
	"fmt"

	"llmc/runtime/server/strictjson"
)

// arrayOf is the expression of arrays.
func (s *schema) arrayOf(c conjunction, _ typeSet) (*expr, error) {
	least, most, err := c.counts("minItems", "maxItems")
	if err != nil {
		return nil, err
	}
	prefix, closed := 0, false
	for _, n := range c {
		list, ok := n.keywords["prefixItems"].Array()
		if n.keywords["prefixItems"] != nil && !ok {
			return nil, wrong(n.where, "prefixItems must be an array")
		}
		prefix = max(prefix, len(list))
		closed = closed || len(list) > 0 && n.keywords["items"] == nil
	}
	if closed && least <= prefix && (most < 0 || most > prefix) {
		most = prefix
	}
	g := &graph{nodes: 1}
	end := max(least, prefix, 1) // from here on every further item is like the last
	if most >= 0 {
		end = most
	}
	var item *expr
	for i := range end {
		if i <= prefix { // behind the prefix all are the same
			if item, err = s.item(c, i); err != nil {
				return nil, err
			}
		}
		g.node()
		g.edge(i, i+1, s.separated(i > 0, item))
	}
	if most < 0 {
		if item, err = s.item(c, prefix); err != nil {
			return nil, err
		}
		g.edge(end, end, s.separated(true, item))
	}
	for i := least; i <= end; i++ {
		g.final = append(g.final, i)
	}
	return seq(text("["), s.space, over(g), s.space, text("]")), nil
}

// separated is an item or a property, behind others or not.
func (s *schema) separated(behind bool, e *expr) *expr {
	if behind {
		return seq(text(","), s.space, e)
	}
	return e
}

// item is the expression of the item at a place.
func (s *schema) item(c conjunction, i int) (*expr, error) {
	var all []*node
	for _, n := range c {
		list, _ := n.keywords["prefixItems"].Array()
		var v strictjson.Value
		where := fmt.Sprintf("%s/prefixItems/%d", n.where, i)
		if i < len(list) {
			v = list[i]
		} else if v = n.keywords["items"]; v != nil {
			where = n.where + "/items"
		}
		if v == nil {
			continue
		}
		sub, err := s.at(where, v)
		if err != nil {
			return nil, err
		}
		all = append(all, sub)
	}
	return s.value(all)
}
