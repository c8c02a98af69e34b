package partition

import "llmc/engine"

// shared says which heads of attention a rank of the launch's stage has.
func (s *site) shared(rank int) Heads {
	c := &s.p.Caches[s.k.Operand(s.l, "cache").Index]
	return split(c.KVHeads, queryHeads(s.l, c)/c.KVHeads, rank%s.out.TP, s.out.TP)
}

// dim is the size of a head of the launch's cache.
func (s *site) dim() int { return s.p.Caches[s.k.Operand(s.l, "cache").Index].Dim }

// at is a range of heads as columns behind so many other heads.
func at(r Range, behind, dim int) Set { return Of((behind+r.From)*dim, (behind+r.To)*dim) }

// givesHeads says that a rank computes its heads of the launch's result.
func (s *site) givesHeads(rank int, heads Heads, dim int) {
	s.part[rank] = Part{Heads: &heads}
	for i, b := range s.results {
		s.own[i][rank] = need{bytes: s.bytesOf(b, at(heads.Query, 0, dim))}
	}
}

func (s *site) attention() bool {
	for _, r := range s.ranks {
		heads := s.shared(r)
		s.givesHeads(r, heads, s.dim())
		s.readColumns("q", r, at(heads.Query, 0, s.dim()))
	}
	return true
}

// ropeKV takes joined rows apart: queries, keys, values.
func (s *site) ropeKV() bool {
	all := queryHeads(s.l, &s.p.Caches[s.k.Operand(s.l, "cache").Index])
	keys := s.p.Caches[s.k.Operand(s.l, "cache").Index].KVHeads
	for _, r := range s.ranks {
		heads, dim := s.shared(r), s.dim()
		s.givesHeads(r, heads, dim)
		s.readColumns("qkv", r, at(heads.Query, 0, dim).Union(at(heads.KV, all, dim)).Union(at(heads.KV, all+keys, dim)))
	}
	return true
}

func (s *site) kvWrite() bool {
	for _, r := range s.ranks {
		heads := s.shared(r)
		s.part[r] = Part{Heads: &heads}
		s.readColumns("k", r, at(heads.KV, 0, s.dim()))
		s.readColumns("v", r, at(heads.KV, 0, s.dim()))
	}
	return true
}

// latentAttention splits the query heads; the rows that they see are everybody's.
func (s *site) latentAttention() bool {
	c := &s.p.Caches[s.k.Operand(s.l, "cache").Index]
	for i, r := range s.ranks {
		heads := Heads{Share(queryHeads(s.l, c), i, len(s.ranks)), Range{0, 1}}
		s.givesHeads(r, heads, c.Rank)
		s.readColumns("q", r, at(heads.Query, 0, c.Rank))
		s.readColumns("q_rope", r, at(heads.Query, 0, c.Dim-c.Rank))
	}
	return true
}

// experts splits products of mixtures by experts: a rank computes the rows that were sent to its own.
func (s *site) experts() bool {
	offsets := s.buffer("offsets")
	for _, r := range s.ranks {
		s.givesExperts(r, offsets)
		s.read("offsets", r)
		s.read("rows", r)
		if x := s.buffer("x"); s.buffer("rows") >= 0 {
			s.read("x", r)
		} else {
			s.add(want{x, r, need{Of(0, s.rows[x]), offsets + 1}})
		}
	}
	return true
}

// givesExperts says that a rank computes the rows at its experts.
func (s *site) givesExperts(rank, offsets int) {
	edges, _ := s.p.Buffers[offsets].Rows.IsConst()
	own := Share(int(edges)-1, rank%s.out.TP, s.out.TP)
	s.part[rank] = Part{Experts: &own, Offsets: offsets}
	for i, b := range s.results {
		s.own[i][rank] = need{Of(0, s.rows[b]), offsets + 1}
	}
}

// rowsOfExperts lets ranks compute the rows at their own experts, where none needs others.
func (s *site) rowsOfExperts() bool {
	offsets := 0
	for _, needs := range s.needs {
		for _, n := range needs {
			if n.empty() {
				continue
			}
			if n.offsets == 0 || offsets != 0 && offsets != n.offsets {
				return false
			}
			offsets = n.offsets
		}
	}
	if offsets == 0 {
		return false
	}
	for _, r := range s.ranks {
		s.givesExperts(r, offsets-1)
		for n, role := range s.k.Roles {
			o := s.l.Operands[n]
			if role.Writes || o.Kind != engine.OperandBuffer {
				continue
			}
			s.add(want{o.Index, r, need{Of(0, s.rows[o.Index]), offsets}})
		}
	}
	return true
}
