package models

import (
	"fmt"
	"slices"
	"strings"

	"llmc/compiler/hf"
	"llmc/compiler/stored"
	"llmc/ir"
)

// mixture describes layers whose MLP is one of many, the experts, of which a router chooses a few for each row:
//
//	logits = router(x)
//	y = sum over the chosen e, the best one first, of weight(e) * down_e(act(gate_e(x)) * up_e(x))
//	y += shared(x), or sigmoid(shared_gate(x)) * shared(x)
//
// The zero value: there are none. A family's shape has what all its models have, describe sets what config.json says.
type mixture struct {
	spellings   []mixtureNames // of tensors: a checkpoint has those of one, files of different times those of different ones
	count       int            // experts of a layer
	inner       int            // features of each
	routing     ir.Routing     // how rows choose; what is added to scores is the tensor that the names say
	routerBias  bool           // of the router's logits
	biased      bool           // products of experts have biases
	shared      int            // features of the MLP that sees every row; 0: none
	sharedGated bool           // what it gives is multiplied with the sigmoid of a logit of its own
	scalesInput bool           // the weight of the one expert that a row chooses multiplies what the expert sees, not what it gives
	gate        ir.Gate        // how gate and up are bounded; its act is that of the decoder
	dense       []bool         // [layers] that have a plain MLP instead; nil: none
}

// mixtureNames are those of a layer's tensors, without ".weight" and ".bias"; %d is the number of an expert. Without it a name is that of the weight that
// all experts' matrices are, and of the tensor where gateUp does not hold it.
type mixtureNames struct {
	router         string
	choice         string // of what is added to scores where experts are chosen, the whole name; "": nothing
	gate, up, down string
	gateUp         string // the first two of all experts in one tensor, [experts, gate's rows and then up's, inputs], the whole name; so is down's then
	alternate      bool   // gate's rows and up's alternate in it
	turned         bool   // matrices of such tensors are stored as [inputs, outputs], but for those in codes
	shared         mlpNames
	sharedGate     string
}

// mlpNames are those of a gated MLP.
type mlpNames struct{ gate, up, down, gateUp string }

// mlpUnder are the usual names of an MLP's matrices behind a common beginning.
func mlpUnder(begin string) mlpNames {
	return mlpNames{gate: begin + ".gate_proj", up: begin + ".up_proj", down: begin + ".down_proj"}
}

// mlpExperts are the names that most families have, in files with tensors for each expert and in those with tensors for all. Whoever has shared
// experts says how they are called, begin what comes before "gate_proj".
func mlpExperts(shared, sharedGate string) []mixtureNames {
	each := mixtureNames{
		router: "mlp.gate", gate: "mlp.experts.%d.gate_proj", up: "mlp.experts.%d.up_proj", down: "mlp.experts.%d.down_proj",
		shared: mlpUnder(shared), sharedGate: sharedGate,
	}
	return []mixtureNames{each, each.stacked()}
}

// stacked are the names where tensors hold the matrices of all experts.
func (n mixtureNames) stacked() mixtureNames {
	n.gate, n.up, n.down, n.gateUp = "mlp.experts.gate_proj", "mlp.experts.up_proj", "mlp.experts.down_proj", "mlp.experts.gate_up_proj"
	return n
}

// Largest sizes of a mixture, which are those of the IR.
const (
	maxExperts = 1024
	maxTopK    = 32
)

// readExperts reads how many experts there are, by any of the names in count, and how many of them a row chooses.
func (d *decoder) readExperts(f *hf.Fields, count string, defaultCount, defaultTopK int64) {
	const topK = "num_experts_per_tok" // in every family
	m := &d.experts
	m.count = int(f.IntOr(named(f, count), defaultCount, 1, maxExperts))
	m.routing.TopK = int(f.IntOr(topK, defaultTopK, 1, maxTopK))
	if m.routing.TopK > m.count {
		f.Fail(topK, "%d of %s %d", m.routing.TopK, named(f, count), m.count)
	}
}

// sparseKeys are the keys that readDense reads.
var sparseKeys = []string{"decoder_sparse_step", "mlp_only_layers"}

// readDense reads which layers have a plain MLP: those that a list names, and all but each so-many-th one.
func (d *decoder) readDense(f *hf.Fields) {
	step := int(f.IntOr("decoder_sparse_step", 1, 1, maxLayers))
	d.experts.dense = make([]bool, d.layers)
	for i := range d.experts.dense {
		d.experts.dense[i] = (i+1)%step != 0
	}
	for _, i := range f.Floats("mlp_only_layers", 0, maxLayers) {
		if i < float64(d.layers) { // transformers asks for each layer whether it is in the list
			d.experts.dense[int(i)] = true
		}
	}
}

// hasExperts tells whether the layer's MLP is a mixture.
func (l *layer) hasExperts() bool {
	return l.experts.count > 0 && (l.experts.dense == nil || !l.experts.dense[l.index])
}

// mixture returns what the experts of each row of x give.
func (l *layer) mixture(x *ir.Value) *ir.Value {
	m, n := &l.experts, l.spelling()
	logits := l.project(x, projection{what: "router", name: n.router, outputs: m.count, inputs: l.hidden, biased: m.routerBias})
	routing := m.routing
	if n.choice != "" {
		routing.Bias = l.vector(l.prefix+n.choice, m.count)
	}
	d, seen := l.Route(logits, routing), x
	if m.scalesInput {
		seen, d.Weights = l.ScaleRows(x, d.Weights), nil
	}
	gate, gateBias := l.stack(n, n.gate, "col", m.inner, l.hidden)
	up, upBias := l.stack(n, n.up, "col", m.inner, l.hidden)
	down, downBias := l.stack(n, n.down, "row", l.hidden, m.inner)
	g := l.ExpertLinear(seen, d, gate, gateBias).As(l.label + "experts.gate")
	u := l.ExpertLinear(seen, d, up, upBias).As(l.label + "experts.up")
	h := l.opened(g, u)
	y := l.Combine(l.PlacedLinear(h, d, down, downBias).As(l.label+"experts.down"), d).As(l.label + "experts")
	if m.shared == 0 {
		return y
	}
	return l.Add(y, l.sharedExperts(x, n))
}

// opened is what the gates of experts let through.
func (l *layer) opened(g, u *ir.Value) *ir.Value {
	by := l.experts.gate
	if by == (ir.Gate{}) {
		return l.Mul(l.Activation(l.activation(), g), u)
	}
	by.Act = l.activation()
	return l.Gated(g, u, by)
}

// sharedExperts returns what the MLP gives that sees every row.
func (l *layer) sharedExperts(x *ir.Value, n *mixtureNames) *ir.Value {
	y := l.gatedMLP(x, "shared.", n.shared, l.experts.shared)
	if !l.experts.sharedGated {
		return y
	}
	open := l.project(x, projection{what: "shared.open", name: n.sharedGate, outputs: 1, inputs: l.hidden})
	return l.ScaleRows(y, l.Activation("sigmoid", open))
}

// spelling returns the names that the checkpoint has of the layer's tensors, the first ones where it has none.
func (l *layer) spelling() *mixtureNames {
	all := l.experts.spellings
	i := slices.IndexFunc(all, func(n mixtureNames) bool { return l.has(l.prefix+n.router+".weight") && l.has(l.prefix+n.downOf(0)) })
	return &all[max(i, 0)]
}

// downOf is the whole name of the tensor that holds the last matrix of an expert.
func (n *mixtureNames) downOf(expert int) string {
	if n.gateUp != "" {
		return n.down
	}
	return fmt.Sprintf(n.down, expert) + ".weight"
}

// stack declares the matrices [count, outputs, inputs] that the experts have of one kind, and their biases, nil where there are none.
func (l *layer) stack(n *mixtureNames, kind, axis string, outputs, inputs int) (w, bias *ir.Value) {
	m, name := &l.experts, l.prefix+strings.Replace(kind, "%d.", "", 1)
	if n.alternate || n.turned {
		return l.takeApart(n, kind, axis, outputs, inputs)
	}
	var rows, sums []expertRows
	for e := range m.count {
		if n.gateUp == "" {
			tensor := l.prefix + fmt.Sprintf(kind, e)
			rows = append(rows, expertRows{tensor + ".weight", []int{outputs, inputs}, 0})
			sums = append(sums, expertRows{tensor + ".bias", []int{outputs}, 0})
			continue
		}
		tensor, total, first := l.prefix+kind, outputs, 0
		if kind != n.down {
			tensor, total = l.prefix+n.gateUp, 2*outputs
		}
		if kind == n.up {
			first = outputs
		}
		rows = append(rows, expertRows{tensor, []int{m.count, total, inputs}, e*total + first})
		sums = append(sums, expertRows{tensor + "_bias", []int{m.count, total}, e*total + first})
	}
	if m.biased {
		bias = l.stackOf(name+".bias", strings.TrimSuffix(axis, "row"), sums, outputs)
	}
	return l.stackOf(name+".weight", axis, rows, outputs, inputs), bias
}

// takeApart is stack of tensors in which the rows of a matrix do not lie side by side.
func (l *layer) takeApart(n *mixtureNames, kind, axis string, outputs, inputs int) (w, bias *ir.Value) {
	m, tensor, name := &l.experts, l.prefix+kind, l.prefix+kind
	s := hf.Strided{Count: int64(m.count), Total: int64(outputs), Cols: int64(inputs), Step: 1, Rows: int64(outputs)}
	if kind != n.down {
		tensor, s.Total = l.prefix+n.gateUp, 2*s.Total
		switch {
		case n.alternate && kind == n.up:
			s.Step, s.First = 2, 1
		case n.alternate:
			s.Step = 2
		case kind == n.up:
			s.First = s.Rows
		}
	}
	if m.biased {
		sums := s
		sums.Cols = 1
		bias = l.strided(tensor+"_bias", []int{m.count, int(s.Total)}, sums, name+".bias", strings.TrimSuffix(axis, "row"), m.count*outputs)
	}
	shape := []int{m.count, int(s.Total), inputs}
	if t := l.checkpoint.Lookup(l.stored(tensor)); n.turned && (t == nil || stored.Of(t) == nil) {
		s.Turned, shape[1], shape[2] = true, shape[2], shape[1]
	}
	return l.strided(tensor, shape, s, name+".weight", axis, m.count, outputs, inputs), bias
}

// strided declares a weight of those rows of a tensor that s names. They are a tensor of the checkpoint from then on, called as the weight is.
func (in *importer) strided(tensor string, shape []int, s hf.Strided, name, axis string, dims ...int) *ir.Value {
	if !in.checkpoint.Random() {
		t := in.tensor(tensor, shape...)
		if t == nil {
			return &ir.Value{}
		}
		if other := in.checkpoint.Lookup(in.stored(name)); other != nil && other.Bytes() > 0 {
			in.Fail(other.Errorf("is there beside %q, which has the same numbers", tensor))
			return &ir.Value{}
		}
		var wide []int64
		for _, d := range dims {
			wide = append(wide, int64(d))
		}
		if err := stored.PutStrided(in.checkpoint, in.stored(name), t, s, wide...); err != nil {
			in.Fail(err)
			return &ir.Value{}
		}
	}
	t := in.tensor(name, dims...)
	if t == nil {
		return &ir.Value{}
	}
	return in.declared(name, axis, t, ir.TensorRows(t.Name, 0, s.Count*s.Rows), dims...)
}

// expertRows are the rows of a tensor of the shape that an expert's matrix is, or the elements that its bias is, counted through all of the tensor.
type expertRows struct {
	tensor string
	shape  []int
	first  int
}

// stackOf declares a weight [experts, outputs, inputs], or [experts*outputs], of rows of tensors that are all stored in one way.
func (in *importer) stackOf(name, axis string, experts []expertRows, dims ...int) *ir.Value {
	var parts []*ir.Recipe
	var like *hf.Tensor
	for _, e := range experts {
		t := in.tensor(e.tensor, e.shape...)
		if t == nil {
			return &ir.Value{}
		}
		t = in.inOrder(t)
		if like == nil {
			like = t
		}
		if err := sameStored(like, t, in.dequantize); err != nil {
			in.Fail(err)
			return &ir.Value{}
		}
		parts = append(parts, ir.TensorRows(t.Name, int64(e.first), int64(dims[0])))
	}
	if len(dims) == 1 {
		return in.declared(name, axis, like, ir.ConcatRows(parts...), len(experts)*dims[0])
	}
	return in.declared(name, axis, like, ir.ConcatRows(parts...), append([]int{len(experts)}, dims...)...)
}

// inOrder puts numbers in the place of codes whose columns have an order of their own, which rows of several matrices can not follow.
func (in *importer) inOrder(t *hf.Tensor) *hf.Tensor {
	t = stored.InOrder(in.checkpoint, t)
	in.used[t.Name] = t
	return t
}

// sameStored wants the matrices of a stack to be stored alike: as numbers, or as codes of one format.
func sameStored(a, b *hf.Tensor, asNumbers bool) error {
	m, n := stored.Of(a), stored.Of(b)
	switch {
	case asNumbers || m == nil && n == nil:
	case m == nil || n == nil || m.Method != n.Method || m.Format != n.Format || m.Plain != n.Plain:
		return b.Errorf("is not stored as %q is, an expert's matrix of the same layer; build with --quant bf16, or with --requantize", a.Name)
	}
	return nil
}
