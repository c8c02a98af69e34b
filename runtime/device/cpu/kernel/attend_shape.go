package kernel

// shaped tells whether scores are more than scaled products of queries and keys.
func (a *Attention) shaped() bool { return a.Softcap != 0 || a.ALiBi != nil }

// shape turns the products that row i of a tile has of the positions that it sees into scores, scale included.
func (s *Set) shape(scores []float32, t *attendTile, i int) {
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
	if t.ALiBi == nil {
		return
	}
	g := t.group()
	slope := t.ALiBi[t.head*g+(t.row+i)%g]
	for j, x := range scores { // the last position seen is the query's own
		scores[j] = float32(x*scale) + slope*float32(j-n+1)
	}
}
