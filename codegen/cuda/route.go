package cuda

import (
	"math"

	"llmc/codegen/ptx"
	"llmc/engine"
)

// routeThreads are four warps, each of which has a row.
const routeThreads = 128

func routeGrid(e *entry) [3]engine.Extent {
	return grid(engine.Extent{Of: e.buffer("logits").Rows, Per: routeThreads / 32})
}

// router chooses the experts of a row. Lane l of the warp has experts l, l+32, ...: a register of each kind for every one of them.
type router struct {
	e       *entry
	experts int
	lane    ptx.Reg
	ids     []ptx.Reg
	scores  []ptx.Reg // to be divided by total
	total   ptx.Reg   // of the scores, or 1
	keys    []ptx.Reg // of what is chosen by, which integers are in the order of; 0: not to be chosen
}

// route writes the experts of each row, the best one first, and their weights.
func route(e *entry) {
	row := e.Add(e.Shl(e.CtaX(), log2(routeThreads/32)), e.Warp())
	rows := e.rows("logits")
	inside := e.Lt(row, rows)
	row = e.Min(row, e.Sub(rows, 1)) // all warps take part in what follows
	r := &router{e: e, experts: e.cols("logits"), lane: e.Lane()}
	logits := r.load(e.row("logits", row))
	if e.launch.Text("score", "softmax") == "softmax" {
		r.softmax(logits)
	} else {
		r.sigmoids(logits)
	}
	r.order(logits)
	if e.launch.Int("groups", 1) > 1 {
		r.chooseGroups()
	}
	r.choose(row, inside)
}

// load reads the logits of a row; behind the last expert they are -inf.
func (r *router) load(row ptx.Reg) (logits []ptx.Reg) {
	r.e.Section("logits")
	for i := 0; i*32 < r.experts; i++ {
		id := r.e.Add(r.lane, 32*i)
		v := r.e.Ld(ptx.F32, r.e.Index(row, r.e.Min(id, r.experts-1), 4))
		if (i+1)*32 > r.experts {
			v = r.e.Select(r.e.Lt(id, r.experts), v, math.Inf(-1))
		}
		r.ids, logits = append(r.ids, id), append(logits, v)
	}
	return logits
}

func (r *router) softmax(logits []ptx.Reg) {
	r.e.Section("softmax")
	most := logits[0]
	for _, v := range logits[1:] {
		most = r.e.Max(most, v)
	}
	most = r.e.WarpReduce(most, r.e.Max)
	sum := r.e.Const(ptx.F32, 0)
	for _, v := range logits {
		s := r.e.Ex2(r.e.Mul(r.e.Sub(v, most), log2e))
		r.scores = append(r.scores, s)
		r.e.Into(sum).Add(sum, s)
	}
	r.total = r.e.WarpReduce(sum, r.e.Add)
}

func (r *router) sigmoids(logits []ptx.Reg) {
	r.e.Section("sigmoid")
	for _, v := range logits {
		r.scores = append(r.scores, activations["sigmoid"](r.e, v))
	}
	r.total = r.e.Const(ptx.F32, 1.0)
}

// byScore tells that experts are chosen by more than the order of their logits, which is that of their scores and not rounded as these are.
func (r *router) byScore() bool {
	return r.e.has("bias") || r.e.launch.Int("groups", 1) > 1 && r.e.launch.Text("group_score", "max") == "top2"
}

// order makes the keys.
func (r *router) order(logits []ptx.Reg) {
	r.e.Section("order")
	for i, v := range logits {
		if r.byScore() {
			v = r.e.Div(r.scores[i], r.total)
		}
		if r.e.has("bias") {
			v = r.e.Add(v, r.e.Ld(ptx.F32, r.e.Index(r.e.pointers["bias"], r.e.Min(r.ids[i], r.experts-1), 4)))
		}
		key := r.key(v)
		if (i+1)*32 > r.experts {
			key = r.e.Select(r.e.Lt(r.ids[i], r.experts), key, 0)
		}
		r.keys = append(r.keys, key)
	}
}

// key is an integer from 1 on that is in the order of numbers.
func (r *router) key(v ptx.Reg) ptx.Reg { return r.e.Max(r.e.logitKey(v), 1) }

// best returns the largest key of the warp and the lowest of the ids that have it.
func (r *router) best(keys, ids []ptx.Reg) (key, id ptx.Reg) {
	most := keys[0]
	for _, k := range keys[1:] {
		most = r.e.Max(most, k)
	}
	key = r.e.Assume(ptx.WarpUniform, r.e.Redux("max", most))
	lowest := r.e.Const(ptx.U32, math.MaxInt32)
	for i := len(keys) - 1; i >= 0; i-- {
		lowest = r.e.Select(r.e.Eq(keys[i], key), ids[i], lowest)
	}
	return key, r.e.Assume(ptx.WarpUniform, r.e.Redux("min", lowest))
}

// without returns the keys with that of an id struck out.
func (r *router) without(keys, ids []ptx.Reg, id ptx.Reg) []ptx.Reg {
	var left []ptx.Reg
	for i, key := range keys {
		left = append(left, r.e.Select(r.e.Eq(ids[i], id), 0, key))
	}
	return left
}

// chooseGroups strikes out the experts of all groups but the best ones. Lane g has the key of group g.
func (r *router) chooseGroups() {
	groups := int(r.e.launch.Int("groups", 1))
	size := r.experts / groups
	group := r.e.Const(ptx.U32, 0)
	for g := range groups {
		r.e.Section("group %d", g)
		r.e.When(r.e.Eq(r.lane, g)).Set(group, r.groupKey(g*size, size))
	}
	r.e.Section("best groups")
	chosen := r.e.Const(ptx.U32, 0)
	for range r.e.launch.Int("top_groups", 1) {
		_, g := r.best([]ptx.Reg{group}, []ptx.Reg{r.lane})
		r.e.Into(chosen).Or(chosen, r.e.Shl(r.e.Const(ptx.U32, 1), g))
		r.e.When(r.e.Eq(r.lane, g)).Set(group, 0)
	}
	for i, key := range r.keys {
		bit := r.e.And(r.e.Shr(chosen, r.e.Div(r.ids[i], size)), 1)
		r.keys[i] = r.e.Select(r.e.Ne(bit, 0), key, 0)
	}
}

// groupKey is the key of the group of size experts from first on.
func (r *router) groupKey(first, size int) ptx.Reg {
	var keys, ids []ptx.Reg
	for i, key := range r.keys {
		if 32*(i+1) <= first || 32*i >= first+size {
			continue
		}
		if 32*i < first || 32*(i+1) > first+size {
			key = r.e.Select(r.e.Lt(r.e.Sub(r.ids[i], first), size), key, 0)
		}
		keys, ids = append(keys, key), append(ids, r.ids[i])
	}
	most, id := r.best(keys, ids)
	if r.e.launch.Text("group_score", "max") == "max" {
		return most
	}
	second, _ := r.best(r.without(keys, ids, id), ids)
	return r.key(r.e.Add(r.e.keyLogit(most), r.e.keyLogit(second)))
}

// choose writes the best experts. Lane j has the j-th one.
func (r *router) choose(row, inside ptx.Reg) {
	k := int(r.e.launch.Int("top_k", 1))
	expert, weight, sum := r.e.Const(ptx.U32, 0), r.e.Const(ptx.F32, 0), r.e.Const(ptx.F32, 0)
	for j := range k {
		r.e.Section("expert %d", j)
		_, id := r.best(r.keys, r.ids)
		score := r.e.Const(ptx.F32, 0)
		for i, s := range r.scores {
			score = r.e.Select(r.e.Eq(r.ids[i], id), s, score)
		}
		score = r.e.ShflIdx(score, r.e.And(id, 31))
		r.keys = r.without(r.keys, r.ids, id)
		r.e.Into(sum).Add(sum, score)
		here := r.e.Eq(r.lane, j)
		r.e.When(here).Set(expert, id)
		r.e.When(here).Set(weight, score)
	}
	r.e.Section("results")
	if r.e.launch.Int("normalize", 0) == 1 {
		r.total = sum
	}
	weight = r.e.Mul(r.e.Div(weight, r.total), r.e.launch.Float("scale", 1))
	wanted := r.e.CmpAnd(ptx.LT, r.lane, k, inside)
	r.e.When(wanted).St(r.e.Index(r.e.pointers["experts"], r.e.Mad(row, k, r.lane), 4), expert)
	at := r.e.Index(r.e.row("weights", row), r.lane, 4)
	r.e.When(wanted).St(at, weight)
}
