package partition

import "slices"

// Set is ascending ranges that do not touch.
type Set []Range

// Of returns the set of one range.
func Of(from, to int) Set {
	if from >= to {
		return nil
	}
	return Set{{from, to}}
}

// Len is how many numbers the set has.
func (s Set) Len() int {
	n := 0
	for _, r := range s {
		n += r.Len()
	}
	return n
}

// Union is what either has.
func (s Set) Union(t Set) Set {
	all := slices.Concat(s, t)
	slices.SortFunc(all, func(a, b Range) int { return a.From - b.From })
	var out Set
	for _, r := range all {
		if r.Len() <= 0 {
			continue
		}
		if n := len(out); n > 0 && r.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, r.To)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// Intersect is what both have.
func (s Set) Intersect(t Set) Set {
	var out Set
	for _, a := range s {
		for _, b := range t {
			if from, to := max(a.From, b.From), min(a.To, b.To); from < to {
				out = append(out, Range{from, to})
			}
		}
	}
	return out
}

// Minus is what t lacks.
func (s Set) Minus(t Set) Set {
	out := slices.Clone(s)
	for _, b := range t {
		var rest Set
		for _, a := range out {
			if from, to := a.From, min(a.To, b.From); from < to {
				rest = append(rest, Range{from, to})
			}
			if from, to := max(a.From, b.To), a.To; from < to {
				rest = append(rest, Range{from, to})
			}
		}
		out = rest
	}
	return out
}

// Shift adds by to all numbers.
func (s Set) Shift(by int) Set {
	out := slices.Clone(s)
	for i := range out {
		out[i].From, out[i].To = out[i].From+by, out[i].To+by
	}
	return out
}

// Scale makes of each number by numbers.
func (s Set) Scale(by int) Set {
	out := slices.Clone(s)
	for i := range out {
		out[i].From, out[i].To = out[i].From*by, out[i].To*by
	}
	return out
}

// Blocks are the blocks of size numbers that the set touches.
func (s Set) Blocks(size int) Set {
	var out Set
	for _, r := range s {
		out = out.Union(Of(r.From/size, (r.To+size-1)/size))
	}
	return out
}
