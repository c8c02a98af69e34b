package partition

import (
	"strings"

	"llmc/engine"
	"llmc/engine/layout"
)

// rules split launches, by kernel. One that answers false leaves its launch whole.
var rules = map[string]func(*site) bool{
	"cpu.linear":            (*site).linear,
	"cpu.linear_swiglu":     (*site).linear,
	"cpu.linear_heads":      (*site).linearHeads,
	"cpu.rope_kv":           (*site).ropeKV,
	"cpu.kv_write":          (*site).kvWrite,
	"cpu.attention":         (*site).attention,
	"cpu.attention_latent":  (*site).latentAttention,
	"cpu.moe_linear":        (*site).experts,
	"cpu.moe_linear_swiglu": (*site).experts,
	"cpu.quantize":          (*site).rowsOfExperts,
}

// columnwise are operations that compute blocks of columns from the same columns of their operands, with the size of a block; 0: this one needs whole rows.
var columnwise = map[string]func(*site) int{
	"cpu.rope":       func(s *site) int { return int(s.l.Int("dim", 1)) },
	"cpu.hadamard":   func(s *site) int { return int(s.l.Int("block", 1)) },
	"cpu.rmsnorm":    (*site).normGroup,
	"cpu.cast":       func(*site) int { return castBlock },
	"cpu.add":        one,
	"cpu.mul":        one,
	"cpu.swiglu":     one,
	"cpu.silu":       one,
	"cpu.gelu":       one,
	"cpu.gelu_tanh":  one,
	"cpu.quick_gelu": one,
	"cpu.relu":       one,
	"cpu.relu2":      one,
	"cpu.sigmoid":    one,
	"cpu.softcap":    one,
	"cpu.scale":      one,
}

// castBlock is what rows of 16 bits are padded to: a cast clears what is behind its last column up to there.
const castBlock = 64

func one(*site) int { return 1 }

// smallWeight is a product that is not worth an exchange, in bytes of its weight.
const smallWeight = 4 << 10

// fair tells whether ranks that compute so much at most, of total, do less than they would by computing everything, by more than half of what they could save.
func fair(most, total, ranks int) bool { return 2*most*ranks < total*(ranks+1) }

// shareOut returns the units, blocks of columns, of the first result that each rank of the stage computes: what it needs, or an even share where that would be nearly everything. Those
// that are asked to keep to what they need do so; what only other stages need is then the first rank's.
func (s *site) shareOut(units, block int, keep bool) []Set {
	own, most := make([]Set, len(s.part)), 0
	size := block * s.element(s.results[0])
	for _, r := range s.ranks {
		own[r] = s.needs[0][r].bytes.Blocks(size).Intersect(Of(0, units))
		most = max(most, own[r].Len())
	}
	var all Set
	for _, n := range s.needs[0] {
		all = all.Union(n.bytes)
	}
	rest := all.Blocks(size).Intersect(Of(0, units)).Minus(union(own))
	if keep {
		own[s.ranks[0]] = own[s.ranks[0]].Union(rest)
		return own
	}
	if fair(most, units, len(s.ranks)) && len(rest) == 0 {
		return own
	}
	for i, r := range s.ranks {
		part := Share(units, i, len(s.ranks))
		own[r] = Of(part.From, part.To)
	}
	return own
}

func union(sets []Set) Set {
	var all Set
	for _, s := range sets {
		all = all.Union(s)
	}
	return all
}

// computes says which columns of the first result a rank computes.
func (s *site) computes(rank int, columns Set) bool {
	if len(columns) == 0 {
		return false
	}
	s.part[rank] = Part{Columns: columns}
	b := s.results[0]
	s.own[0][rank] = need{bytes: s.bytesOf(b, columns)}
	return true
}

// linear splits a product by panels of outputs. All read the whole input.
func (s *site) linear() bool {
	y := s.buffer("y")
	cols := s.cols(y)
	units := (cols + layout.Lanes - 1) / layout.Lanes
	small := weightBytes(s.p, s.l, s.weights) <= smallWeight
	for r, own := range s.shareOut(units, layout.Lanes, small) {
		if s.computes(r, own.Scale(layout.Lanes).Intersect(Of(0, cols))) {
			s.read("x", r)
		}
	}
	return true
}

// linearHeads splits by heads, whose inputs are columns of their own.
func (s *site) linearHeads() bool {
	x, y := s.buffer("x"), s.buffer("y")
	w := s.weights(s.p.Weights[s.k.Operand(s.l, "w").Index])
	if w == nil || w.Experts() < 1 {
		return false
	}
	heads := int(w.Experts())
	k, n := s.cols(x)/heads, s.cols(y)/heads
	for r, own := range s.shareOut(heads, n, false) {
		if s.computes(r, own.Scale(n)) {
			s.readColumns("x", r, own.Scale(k))
		}
	}
	return true
}

// columns computes what is needed of columns, and reads as much.
func (s *site) columns(size int) bool {
	y := s.results[0]
	if size == 0 || s.p.Buffers[y].Format != "" || s.element(y) == 0 {
		return s.rowsOfExperts()
	}
	for _, n := range s.needs[0] {
		if n.offsets > 0 {
			return s.rowsOfExperts()
		}
	}
	cols, unit, chain := s.cols(y), size, s.chain()
	for chain && unit%layout.Lanes != 0 {
		unit += size
	}
	for r, own := range s.shareOut((cols+unit-1)/unit, unit, !chain) {
		columns := own.Scale(unit).Intersect(Of(0, cols))
		if !s.computes(r, columns) {
			continue
		}
		for n, role := range s.k.Roles {
			if o := s.l.Operands[n]; !role.Writes && o.Kind == engine.OperandBuffer {
				s.readColumns(role.Name, r, columns)
			}
		}
	}
	return true
}

// normGroup is how many columns have a norm of their own, 0 where it is the row.
func (s *site) normGroup() int {
	w := s.weights(s.p.Weights[s.k.Operand(s.l, "w").Index])
	if w == nil || len(w.Shape) != 1 || int(w.Shape[0]) >= s.cols(s.results[0]) {
		return 0
	}
	return int(w.Shape[0])
}

// chain tells whether an operand comes from a launch that is split by columns and that nobody else reads: splitting this one too saves an exchange.
func (s *site) chain() bool {
	for n, role := range s.k.Roles {
		if o := s.l.Operands[n]; !role.Writes && o.Kind == engine.OperandBuffer && s.splitBefore(s.i, o.Index) {
			return true
		}
	}
	return false
}

// splitBefore tells whether what launch i reads in a buffer is the result of a launch that is split by columns, and i alone reads it.
func (a *analysis) splitBefore(i, buffer int) bool {
	if len(a.wants[a.p.Buffers[buffer].Slot]) > 0 { // others read it behind i
		return false
	}
	for j := i - 1; j >= 0; j-- {
		s := &site{analysis: a, i: j, l: &a.p.Launches[j]}
		s.k = engine.FindKernel(s.l.Kernel)
		for n, role := range s.k.Roles {
			o := s.l.Operands[n]
			switch {
			case o.Kind != engine.OperandBuffer || a.p.Buffers[o.Index].Slot != a.p.Buffers[buffer].Slot:
			case !role.Writes || o.Index != buffer || a.out.Stages[j] != a.out.Stages[i]:
				return false
			case splitByColumns[strings.TrimPrefix(s.l.Kernel, "cpu.")]:
				return true
			default:
				return columnwise[s.l.Kernel] != nil && role.Name == "y" && s.chain()
			}
		}
	}
	return false
}

// splitByColumns are kernels whose results are split whoever reads them.
var splitByColumns = map[string]bool{"linear": true, "linear_swiglu": true, "linear_heads": true, "attention": true, "attention_latent": true}

// Columnwise tells whether a launch of the kernel that computes some columns is one of those columns alone.
func Columnwise(kernel string) bool { return columnwise[kernel] != nil }
