package kernel

// Relative is what scores have added for the distance of a position from the query's: learned numbers, those of the last distance either way for all
// that are further.
type Relative struct {
	Table  []float32 // [QueryHeads, Rows]
	Rows   int       // distances
	Before int       // the row of distance 0: so many are before it
}

// shaped tells whether scores are more than scaled products of queries and keys.
func (a *Attention) shaped() bool { return a.Softcap != 0 || a.ALiBi != nil || a.Relative != nil }

// shape turns the products that row i of a tile has of the positions that it sees, from lo of the split on, into scores, scale included.
func (s *Set) shape(scores []float32, t *attendTile, i, lo int) {
	n := len(scores)
	if n == 0 {
		return
	}
	scale := t.Scale
	if limit := t.Softcap; limit != 0 {
		s.fold.scale(&scores[0], &scores[0], n, 2*scale/limit)
		s.row.exp(&scores[0], &scores[0], n)
		for j, e := range scores {
			scores[j] = limit * ((e - 1) / (e + 1)) // tanh of half the exponent
		}
		scale = 1
	}
	g := t.group()
	head := t.head*g + (t.row+i)%g
	distance := t.base + lo - (t.q.First + (t.row+i)/g) // of the first position from the query's
	if t.ALiBi != nil {
		slope := t.ALiBi[head]
		for j, x := range scores {
			scores[j] = float32(x*scale) + slope*float32(distance+j)
		}
		scale = 1
	}
	if t.Relative != nil {
		if scale != 1 {
			s.fold.scale(&scores[0], &scores[0], n, scale)
		}
		s.addRelative(scores, t.Relative, head, distance)
	}
}

// addRelative adds what a head's scores have for their distances, the first of which is given.
func (s *Set) addRelative(scores []float32, r *Relative, head, distance int) {
	row, at := r.Table[head*r.Rows:(head+1)*r.Rows], distance+r.Before
	near := min(max(-at, 0), len(scores)) // where the table begins
	far := min(max(r.Rows-at, near), len(scores))
	if near > 0 {
		s.fold.shift(&scores[0], &scores[0], near, -row[0])
	}
	if near < far {
		s.row.add(&scores[near], &scores[near], &row[at+near], far-near)
	}
	if far < len(scores) {
		s.fold.shift(&scores[far], &scores[far], len(scores)-far, -row[r.Rows-1])
	}
}
