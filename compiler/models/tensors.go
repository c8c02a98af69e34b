package models

import (
	"path"
	"slices"
	"strings"

	"llmc/compiler/hf"
	"llmc/compiler/stored"
	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/internal/sym"
	"llmc/ir"
)

// importer builds a module and takes the tensors it is made of from a checkpoint. Weights are named after the tensors, with the prefix.
type importer struct {
	*ir.Builder
	checkpoint *hf.Checkpoint
	base       string                // begins the names of all tensors but the head's; "" where those in the checkpoint lack it
	moved      []moved               // parts of a model that is made of several, which have other names there
	used       map[string]*hf.Tensor // by name in the checkpoint
	orders     map[*ir.Value][]sortedInput
	unused     []string // patterns of tensors that config.json tells are left out
	dequantize bool     // weights of codes are declared as the numbers that they stand for
	takes      func(*quant.Format) bool
}

// readCodes notes how matrices of codes are to be declared.
func (in *importer) readCodes(opts *Options) {
	in.dequantize, in.takes = opts.Dequantize, opts.Takes
}

// newImporter looks how the table of embeddings is called: checkpoints saved from a model without a head lack the first part of names.
func newImporter(c *hf.Checkpoint, fam *family) *importer {
	in := &importer{Builder: ir.NewBuilder(fam.modelType), checkpoint: c, used: map[string]*hf.Tensor{}, orders: map[*ir.Value][]sortedInput{}}
	base, rest, _ := strings.Cut(tableOf(c, &fam.names)+".weight", ".")
	if !c.Has(base+"."+rest) && c.Has(rest) {
		in.base = base + "."
	}
	return in
}

// tableOf is the name of the table of embeddings, or of what the checkpoint has in its place.
func tableOf(c *hf.Checkpoint, n *names) string {
	has := func(name string) bool { // with the first part, or without
		_, rest, _ := strings.Cut(name+".weight", ".")
		return c.Has(name+".weight") || rest != "weight" && c.Has(rest)
	}
	if i := slices.IndexFunc(n.aliases, has); i >= 0 && !has(n.table) {
		return n.aliases[i]
	}
	return n.table
}

// stored returns the name under which the checkpoint holds the tensor.
func (in *importer) stored(name string) string {
	for _, m := range in.moved {
		if rest, ok := strings.CutPrefix(name, m.from); ok {
			return m.to + rest
		}
	}
	return strings.TrimPrefix(name, in.base)
}

// moved says that tensors whose names begin with from are those that begin with to in the checkpoint.
type moved struct{ from, to string }

func (in *importer) has(name string) bool { return in.checkpoint.Has(in.stored(name)) }

// tensor returns a tensor of the shape, which counts as used then; nil after a mistake.
func (in *importer) tensor(name string, dims ...int) *hf.Tensor {
	shape := make([]int64, len(dims))
	for i, d := range dims {
		shape[i] = int64(d)
	}
	t, err := in.checkpoint.Tensor(in.stored(name), shape...)
	if err != nil {
		in.Fail(err)
		return nil
	}
	in.used[t.Name] = t
	return t
}

// weight declares the whole tensor as a weight of the element type that it is stored in.
func (in *importer) weight(name, axis string, dims ...int) *ir.Value {
	t := in.tensor(name, dims...)
	if t == nil {
		return &ir.Value{}
	}
	return in.declared(name, axis, t, ir.TensorRows(t.Name, 0, t.Rows()), dims...)
}

// declared declares a weight that a recipe makes of the tensor t, of the element type that t is stored in.
func (in *importer) declared(name, axis string, t *hf.Tensor, recipe *ir.Recipe, dims ...int) *ir.Value {
	kind := t.DType
	if kind == dtype.F64 { // nothing computes with more than f32
		kind = dtype.F32
	}
	if in.splits(stored.Of(t)) && recipe.Kind == ir.FromTensor && recipe.Start == 0 && recipe.Count == t.Rows() {
		t = in.checkpoint.Lookup(in.stored(stored.DigitsName(name)))
		dims = []int{int(t.Rows()), int(t.Cols())}
		recipe = ir.TensorRows(t.Name, 0, t.Rows())
	}
	w := ir.Weight{Axis: axis, Recipe: recipe}
	w.Name, w.Type = name, ir.Tensor(kind)
	if m := stored.Of(t); m != nil && !in.dequantize {
		w.Stored, w.Type.DType = m.Method, m.Plain
		if transposed(recipe) { // codes stay in their rows
			w.Stored = ""
		} else if m.Format != nil {
			w.Type.DType, w.Type.Quant = m.Format.DType, m.Format.Type
		}
	}
	for _, d := range dims {
		w.Type.Dims = append(w.Type.Dims, sym.Const(int64(d)))
	}
	return in.Declare(w)
}

// transposed tells whether a recipe takes columns for rows.
func transposed(r *ir.Recipe) bool { return r.Transpose || slices.ContainsFunc(r.Parts, transposed) }

// matrix declares a weight of [outputs, inputs].
func (in *importer) matrix(name, axis string, outputs, inputs int) *ir.Value {
	return in.weight(name, axis, outputs, inputs)
}

// Linear multiplies x with w. Where the checkpoint has sorted the columns of w, those of x are put in the same order; products of one input with
// columns in one order share it.
func (in *importer) Linear(x, w, bias *ir.Value) *ir.Value {
	if w.Weight != nil {
		x = in.sorted(x, w.Weight)
	}
	return in.Builder.Linear(x, w, bias)
}

// sorted returns x in the order of the columns of w.
func (in *importer) sorted(x *ir.Value, w *ir.Weight) *ir.Value {
	t, name := in.checkpoint.Lookup(sourceOf(w.Recipe)), w.Name
	if t == nil {
		return x
	}
	if !in.has(name) { // rows of a tensor that holds several matrices
		name = t.Name
	}
	m := stored.Of(t)
	if m == nil || m.Order == nil {
		return x
	}
	for _, known := range in.orders[x] {
		if slices.Equal(known.order, m.Order) {
			return known.sorted
		}
	}
	y := in.Columns(x, in.vector(stored.OrderName(name), len(m.Order)))
	in.orders[x] = append(in.orders[x], sortedInput{m.Order, y})
	return y
}

// sourceOf returns the tensor that a recipe takes its first rows from, "" if it takes them from none.
func sourceOf(r *ir.Recipe) string {
	for len(r.Parts) > 0 {
		r = r.Parts[0]
	}
	return r.Tensor
}

// sortedInput is an input of products with its columns in some order.
type sortedInput struct {
	order  []int32
	sorted *ir.Value
}

// bias declares what is added to the outputs of a matrix. It is split with them; when the inputs are split, it is whole.
func (in *importer) bias(name, axis string, outputs int) *ir.Value {
	if axis == "row" {
		axis = ""
	}
	return in.weight(name, axis, outputs)
}

// vector declares a weight of width elements, such as a norm's.
func (in *importer) vector(name string, width int) *ir.Value { return in.weight(name, "", width) }

// transformed is vector with each element mapped; see ir.Transforms.
func (in *importer) transformed(name, transform string, width int) *ir.Value {
	t := in.tensor(name, width)
	if t == nil {
		return &ir.Value{}
	}
	recipe := ir.TensorRows(t.Name, 0, t.Rows())
	recipe.Transform = transform
	w := ir.Weight{Recipe: recipe}
	w.Name, w.Type = name, ir.Tensor(dtype.F32, sym.Const(int64(width))) // the type of t might round what it becomes
	return in.Declare(w)
}

// skipped declares the rows of a table that learned positions are looked up in.
func (in *importer) skipped(name string, r learnedRows, width int) *ir.Value {
	t := in.tensor(name, r.skip+r.count, width)
	if t == nil {
		return &ir.Value{}
	}
	return in.declared(name, "", t, ir.TensorRows(t.Name, int64(r.skip), int64(r.count)), r.count, width)
}

// rowsOf declares the matrix of a projection (suffix ".weight", or "_weight") or what is added to its outputs (".bias"): a tensor, or rows of one that several
// projections share. transposed tensors are stored as [inputs, outputs].
func (in *importer) rowsOf(tensor, suffix string, p *projection, transposed bool) *ir.Value {
	name, axis, rows := tensor, p.axis, p.rows
	total, dims := p.total, []int{p.outputs, p.inputs}
	if rows != nil {
		name = tensor[:strings.LastIndex(tensor, ".")+1] + p.what
	} else {
		total, rows = p.outputs, []span{{0, p.outputs}}
	}
	stored := []int{total, p.inputs}
	switch {
	case strings.HasSuffix(suffix, "bias"):
		dims, stored = dims[:1], stored[:1]
		if axis == "row" {
			axis = ""
		}
	case transposed:
		stored = []int{p.inputs, total}
	}
	t := in.tensor(tensor+suffix, stored...)
	if t == nil {
		return &ir.Value{}
	}
	var parts []*ir.Recipe
	for _, r := range rows {
		part := ir.TensorRows(t.Name, int64(r.start), int64(r.count))
		part.Transpose = transposed
		parts = append(parts, part)
	}
	return in.declared(name+suffix, axis, t, ir.ConcatRows(parts...), dims...)
}

// embeddings returns the table of token embeddings and the matrix of the head. As in transformers, tied matrices are one if the
// checkpoint holds one of them or two equal ones; two different ones stay two whatever the key says.
func (in *importer) embeddings(d *decoder) (table, head *ir.Value) {
	tableName, headName := tableOf(in.checkpoint, &d.names)+".weight", d.names.head+".weight"
	both := in.has(tableName) && in.has(headName)
	tied := d.tied && !in.inDigits(headName) && (!both || in.equal(tableName, headName, d))
	switch {
	case tied && in.has(headName) && !both:
		head = in.matrix(headName, "col", d.vocab, d.hidden)
		return head, head
	case tied:
		table = in.matrix(tableName, "col", d.vocab, d.hidden)
		return table, table
	}
	return in.matrix(tableName, "col", d.vocab, d.hidden), in.matrix(headName, "col", d.vocab, d.hidden)
}

// tables are embeddings for who looks rows up by lookUp: a tied head in digits is the table too.
func (in *importer) tables(d *decoder) (table, head *ir.Value) {
	tableName, headName := tableOf(in.checkpoint, &d.names)+".weight", d.names.head+".weight"
	if d.tied && in.inDigits(headName) && in.has(tableName) && in.equal(tableName, headName, d) {
		head = in.matrix(headName, "col", d.vocab, d.hidden)
		return head, head
	}
	return in.embeddings(d)
}

// lookUp takes rows of a table, one for each index. Those of a table in digits have all upper ones, then the lower ones, and are the sums of both.
func (in *importer) lookUp(table, ids *ir.Value, width int) *ir.Value {
	rows := in.Gather(table, ids)
	if k, _ := table.Type.Cols(); k != 2*int64(width) {
		return rows
	}
	return in.Add(in.Slice(rows, 0, width), in.Slice(rows, width, width))
}

// inDigits tells whether a matrix is to be multiplied in digits. Where rows are to be looked up in one weight, even a tied head is a weight of its own then.
func (in *importer) inDigits(name string) bool {
	t := in.checkpoint.Lookup(in.stored(name))
	return t != nil && in.splits(stored.Of(t))
}

// splits tells whether a matrix is declared in digits: where its codes are not multiplied as they are, or slower for being in an order.
func (in *importer) splits(m *stored.Matrix) bool {
	if m == nil || m.Digits == nil || in.dequantize {
		return false
	}
	return m.Format == nil || m.Format.Ordered() || in.takes != nil && !in.takes(m.Format)
}

// equal compares two matrices element by element.
func (in *importer) equal(a, b string, d *decoder) bool {
	s, t := in.tensor(a, d.vocab, d.hidden), in.tensor(b, d.vocab, d.hidden)
	if s == nil || t == nil {
		return false
	}
	same, err := hf.Equal(s, t)
	in.Fail(err)
	return same
}

// unusedTensors are patterns of tensors that older checkpoints hold and that follow from config.json.
var unusedTensors = []string{"*.rotary_emb.inv_freq", "*.rotary_emb.cos_cached", "*.rotary_emb.sin_cached"}

// checkUnused refuses tensors that nothing uses: they would be part of what the model computes if the family were understood.
func (in *importer) checkUnused(fam *family, ignore []string) error {
	for _, name := range in.checkpoint.Names() {
		if in.used[name] == nil && in.used[stored.WeightOf(in.checkpoint.Lookup(name))] == nil && !in.isZeroBias(name) && !matches(name, unusedTensors) && !matches(name, fam.unused) && !matches(name, ignore) {
			t := in.checkpoint.Lookup(name)
			return t.Errorf("is not part of a %s model as config.json describes it; if it does not matter, build with --ignore-tensor", in.checkpoint.Config.ModelType)
		}
	}
	return nil
}

// isZeroBias tells whether a tensor is a bias of zeros, which quantizers give to linears that have none.
func (in *importer) isZeroBias(name string) bool {
	module, ok := strings.CutSuffix(name, ".bias")
	if w := in.checkpoint.Lookup(module + ".weight"); !ok || w == nil || stored.Of(w) == nil {
		return false
	}
	t := in.checkpoint.Lookup(name)
	values := make([]float32, t.Elements())
	return t.ReadRows(values, 0, t.Rows()) == nil && !slices.ContainsFunc(values, func(v float32) bool { return v != 0 })
}

func matches(name string, patterns []string) bool {
	for _, p := range patterns {
		if ok, _ := path.Match(p, name); ok {
			return true
		}
	}
	return false
}

// commonDType returns the element type of most parameters.
func (in *importer) commonDType() dtype.Type {
	count := map[dtype.Type]int64{}
	common := dtype.F32
	for _, t := range in.used {
		if t.Codes() != nil {
			continue
		}
		count[t.DType] += t.Elements()
	}
	for _, kind := range []dtype.Type{dtype.F32, dtype.F16, dtype.BF16, dtype.F64} {
		if count[kind] > count[common] {
			common = kind
		}
	}
	return common
}
