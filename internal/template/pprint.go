package template

import (
	"sort"
	"strings"
	"unicode/utf8"
)

const pprintWidth = 80

// pprintFilter is Python's pprint.pformat: values that fit on a line in one line, longer ones one element per line, dicts
// sorted by key.
func pprintFilter(st *state, self Value, _ args) (Value, error) {
	p := prettyPrinter{st: st}
	if err := p.format(self, 0, 0, 0); err != nil {
		return nil, err
	}
	return strValue(p.out), nil
}

type prettyPrinter struct {
	st  *state
	out []byte
}

func (p *prettyPrinter) write(s string) error {
	if len(p.out)+len(s) > p.st.limits.Output {
		return &LimitError{"output", int64(p.st.limits.Output)}
	}
	p.out = append(p.out, s...)
	return p.st.text(len(s))
}

// format writes v, which starts in column indent and is followed by allowance characters on its last line.
func (p *prettyPrinter) format(v Value, indent, allowance, level int) error {
	if err := p.st.enter(1); err != nil {
		return err
	}
	defer p.st.leave(1)
	repr, err := p.st.repr(p.st.sortedDicts(v))
	if err != nil {
		return err
	}
	if utf8.RuneCountInString(repr) > pprintWidth-indent-allowance {
		switch v := v.(type) {
		case *dictValue:
			return p.dict(v, indent, allowance, level+1)
		case *listValue:
			return p.items("[", "]", v.items, indent, allowance, level+1)
		case *tupleValue:
			end := ")"
			if len(v.items) == 1 {
				end = ",)"
			}
			return p.items("(", end, v.items, indent, allowance, level+1)
		case strValue:
			return p.text(string(v), indent, allowance, level+1)
		}
	}
	return p.write(repr)
}

// sortedDicts gives v with the dicts inside sorted, for one-line representations.
func (st *state) sortedDicts(v Value) Value {
	if st.enter(1) != nil || st.step() != nil { // repr reports the limit
		return v
	}
	defer st.leave(1)
	switch v := v.(type) {
	case *dictValue:
		d := newDict(len(v.entries))
		for _, e := range st.pprintOrder(v.entries) {
			if d.put(&st.meter, e.key, st.sortedDicts(e.value)) != nil {
				return v
			}
		}
		return d
	case *listValue:
		return &listValue{items: st.sortedDictItems(v.items)}
	case *tupleValue:
		return &tupleValue{items: st.sortedDictItems(v.items)}
	}
	return v
}

func (st *state) sortedDictItems(items []Value) []Value {
	if st.items(len(items)) != nil {
		return items
	}
	sorted := make([]Value, len(items))
	for i, item := range items {
		sorted[i] = st.sortedDicts(item)
	}
	return sorted
}

// pprintOrder sorts entries by key; keys that cannot be compared are ordered by the names of their types.
func (st *state) pprintOrder(entries []entry) []entry {
	sorted := append([]entry(nil), entries...)
	sort.SliceStable(sorted, func(i, j int) bool {
		order, ok, err := st.order("<", sorted[i].key, sorted[j].key)
		if err != nil {
			return "<class '"+sorted[i].key.typeName()+"'>" < "<class '"+sorted[j].key.typeName()+"'>"
		}
		return ok && order < 0
	})
	return sorted
}

func (p *prettyPrinter) dict(d *dictValue, indent, allowance, level int) error {
	if err := p.write("{"); err != nil {
		return err
	}
	indent++
	for i, e := range p.st.pprintOrder(d.entries) {
		if i > 0 {
			if err := p.write(",\n" + strings.Repeat(" ", indent)); err != nil {
				return err
			}
		}
		key, err := p.st.repr(e.key)
		if err != nil {
			return err
		}
		if err := p.write(key + ": "); err != nil {
			return err
		}
		behind := 1
		if i == len(d.entries)-1 {
			behind = allowance + 1
		}
		if err := p.format(e.value, indent+utf8.RuneCountInString(key)+2, behind, level); err != nil {
			return err
		}
	}
	return p.write("}")
}

func (p *prettyPrinter) items(open, end string, items []Value, indent, allowance, level int) error {
	if err := p.write(open); err != nil {
		return err
	}
	indent++
	for i, item := range items {
		if i > 0 {
			if err := p.write(",\n" + strings.Repeat(" ", indent)); err != nil {
				return err
			}
		}
		behind := 1
		if i == len(items)-1 {
			behind = allowance + len(end)
		}
		if err := p.format(item, indent, behind, level); err != nil {
			return err
		}
	}
	return p.write(end)
}

// text writes a long string as several literals, cut at line ends and behind words.
func (p *prettyPrinter) text(s string, indent, allowance, level int) error {
	if level == 1 { // in parentheses
		indent++
		allowance++
	}
	var chunks []string
	lines := splitLines(s, true)
	for i, line := range lines {
		last := i == len(lines)-1
		room := pprintWidth - indent
		if last {
			room -= allowance
		}
		if repr := quote(line); utf8.RuneCountInString(repr) <= room {
			chunks = append(chunks, repr)
			continue
		}
		more, err := p.textParts(line, pprintWidth-indent, allowance, last)
		if err != nil {
			return err
		}
		chunks = append(chunks, more...)
	}
	text := strings.Join(chunks, "\n"+strings.Repeat(" ", indent))
	if len(chunks) == 1 {
		return p.write(quote(s))
	}
	if level == 1 {
		text = "(" + text + ")"
	}
	return p.write(text)
}

// textParts cuts a line behind the whitespace of words.
func (p *prettyPrinter) textParts(line string, room, allowance int, last bool) ([]string, error) {
	var chunks []string
	current := ""
	for rest := line; rest != ""; {
		end := strings.IndexFunc(rest, isSpace)
		if end < 0 {
			end = len(rest)
		}
		end += spaces(rest[end:])
		part := rest[:end]
		rest = rest[end:]
		if last && rest == "" {
			room -= allowance
		}
		candidate := current + part
		if err := p.st.text(len(candidate)); err != nil {
			return nil, err
		}
		if utf8.RuneCountInString(quote(candidate)) <= room {
			current = candidate
			continue
		}
		if current != "" {
			chunks = append(chunks, quote(current))
		}
		current = part
	}
	if current != "" {
		chunks = append(chunks, quote(current))
	}
	return chunks, nil
}
