package ensemble

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

var similarityKind = Kind{
	Name: "similarity", Does: "compares one vector, or as many as there are others, with other vectors",
	Parameters: []Parameter{{Name: "metric", Does: "`cosine` or `dot`", Default: "cosine"}},
	Fixed: Signature{
		[]Spec{{Name: "query", Type: "FP32", Dims: []int64{-1, -1}}, {Name: "documents", Type: "FP32", Dims: []int64{-1, -1}}},
		[]Spec{{Name: "scores", Type: "FP32", Dims: []int64{-1}}},
	},
	prepare: func(b *Builtin) error { return b.oneOf("metric", "cosine", "dot") },
	compute: similarity,
}

func similarity(b *Builtin, in Tensors, _ TextModel) (Tensors, error) {
	query, documents := in["query"], in["documents"]
	queries, width := query.rows()
	n, other := documents.rows()
	switch {
	case queries != 1 && queries != n:
		return nil, fmt.Errorf("input \"query\": %d rows, must be 1 or %d as documents has", queries, n)
	case n > 0 && width != other:
		return nil, fmt.Errorf("input \"documents\": rows of %d, those of query have %d", other, width)
	}
	a, d := query.Float32s(), documents.Float32s()
	scores := make([]float32, n)
	for i := range n {
		q := a
		if queries > 1 {
			q = a[i*width : (i+1)*width]
		}
		dot, aa, dd := 0., 0., 0.
		for j, x := range d[i*width : (i+1)*width] {
			dot += float64(q[j]) * float64(x)
			aa += float64(q[j]) * float64(q[j])
			dd += float64(x) * float64(x)
		}
		if b.values["metric"] == "cosine" {
			if aa == 0 || dd == 0 {
				dot = 0
			} else {
				dot /= math.Sqrt(aa) * math.Sqrt(dd)
			}
		}
		scores[i] = float32(dot)
	}
	return Tensors{"scores": Floats([]int64{n}, scores)}, nil
}

var topKKind = Kind{
	Name: "top_k", Does: "finds the highest of all scores, the highest first; of equal ones the first",
	Parameters: []Parameter{{Name: "k", Does: "how many at most", Required: true}, {Name: "min_score", Does: "what they must have at least"}},
	Fixed: Signature{
		[]Spec{{Name: "scores", Type: "FP32"}},
		[]Spec{{Name: "indices", Type: "INT64", Dims: []int64{-1}}, {Name: "values", Type: "FP32", Dims: []int64{-1}}},
	},
	prepare: func(b *Builtin) error {
		return cmp.Or(b.whole("k", 0, 1, 1<<20), b.number("min_score", -math.MaxFloat64, -math.MaxFloat64, math.MaxFloat64))
	},
	compute: topK,
}

func topK(b *Builtin, in Tensors, _ TextModel) (Tensors, error) {
	scores := in["scores"].Float32s()
	if err := finite(scores); err != nil {
		return nil, fmt.Errorf("input \"scores\": %w", err)
	}
	var indices []int64
	for i, x := range scores {
		if float64(x) >= b.numbers["min_score"] {
			indices = append(indices, int64(i))
		}
	}
	slices.SortStableFunc(indices, func(i, j int64) int { return cmp.Compare(scores[j], scores[i]) })
	indices = indices[:min(len(indices), int(b.numbers["k"]))]
	values := make([]float32, len(indices))
	for at, i := range indices {
		values[at] = scores[i]
	}
	shape := []int64{int64(len(indices))}
	return Tensors{"indices": Ints(shape, indices), "values": Floats(shape, values)}, nil
}

var takeKind = Kind{
	Name: "take", Does: "takes rows of a tensor by their numbers, in the order of the numbers",
	Fixed: Signature{
		[]Spec{{Name: "input"}, {Name: "indices", Type: "INT64", Dims: []int64{-1}}},
		[]Spec{{Name: "output", Like: "input"}},
	},
	compute: func(_ *Builtin, in Tensors, _ TextModel) (Tensors, error) {
		indices := in["indices"].Int64s()
		if err := rowsFit(in["input"], int64(len(indices))); err != nil {
			return nil, err
		}
		taken, err := in["input"].take(indices)
		if err != nil {
			return nil, fmt.Errorf("input \"indices\": %w", err)
		}
		return Tensors{"output": taken}, nil
	},
}

var repeatKind = Kind{
	Name: "repeat", Does: "repeats the one row of a tensor as often as another has rows: a query beside each of its documents",
	Fixed: Signature{
		[]Spec{{Name: "input"}, {Name: "like"}},
		[]Spec{{Name: "output", Like: "input"}},
	},
	compute: func(_ *Builtin, in Tensors, _ TextModel) (Tensors, error) {
		have, _ := in["input"].rows()
		if have != 1 {
			return nil, fmt.Errorf("input \"input\": %d rows, must be 1", have)
		}
		n, _ := in["like"].rows()
		if err := rowsFit(in["input"], n); err != nil {
			return nil, err
		}
		repeated, err := in["input"].take(make([]int64, n))
		return Tensors{"output": repeated}, err
	},
}

// rowsFit refuses to make so many rows of a tensor that they would take more than a request may have anyway.
func rowsFit(t *Tensor, n int64) error {
	have, _ := t.rows()
	const most = 1 << 30
	if each := t.Bytes() / max(1, have); n > maxElems || each > 0 && n > most/each {
		return fmt.Errorf("%w: %d rows of %d bytes", ErrBytes, n, each)
	}
	return nil
}

var poolKind = Kind{
	Name: "pool", Does: "makes one vector of the rows of tokens, of those that the mask has 1 for",
	Parameters: []Parameter{{Name: "mode", Does: "`mean`, `cls` (the first), `last` or `max`", Default: "mean"}, {Name: "normalize", Does: "`true`: vectors of length 1", Default: "true"}},
	Fixed: Signature{
		[]Spec{{Name: "hidden", Type: "FP32", Dims: []int64{-1, -1, -1}}, {Name: "attention_mask", Type: "INT64", Dims: []int64{-1, -1}, Optional: true}},
		[]Spec{{Name: "embedding", Type: "FP32", Dims: []int64{-1, -1}}},
	},
	prepare: func(b *Builtin) error {
		return cmp.Or(b.oneOf("mode", "mean", "cls", "last", "max"), b.oneOf("normalize", "true", "false"))
	},
	compute: pool,
}

func pool(b *Builtin, in Tensors, _ TextModel) (Tensors, error) {
	hidden := in["hidden"]
	n, tokens, width := hidden.Shape[0], hidden.Shape[1], hidden.Shape[2]
	values := hidden.Float32s()
	var mask []int64
	if t := in["attention_mask"]; t != nil {
		if mask = t.Int64s(); t.Shape[0] != n || t.Shape[1] != tokens {
			return nil, fmt.Errorf("input \"attention_mask\": shape %v, hidden has %v", t.Shape, hidden.Shape)
		}
	}
	pooled := make([]float32, 0, n*width)
	for i := range n {
		var rows [][]float32
		for at := range tokens {
			if mask == nil || mask[i*tokens+at] != 0 {
				rows = append(rows, values[(i*tokens+at)*width:][:width])
			}
		}
		if len(rows) == 0 {
			return nil, fmt.Errorf("input \"attention_mask\": row %d has no token", i)
		}
		pooled = append(pooled, vector(b.values["mode"], b.values["normalize"] == "true", rows)...)
	}
	return Tensors{"embedding": Floats([]int64{n, width}, pooled)}, nil
}

// vector makes one row of several.
func vector(mode string, normalize bool, rows [][]float32) []float32 {
	sums := make([]float64, len(rows[0]))
	for j := range sums {
		switch mode {
		case "cls":
			sums[j] = float64(rows[0][j])
		case "last":
			sums[j] = float64(rows[len(rows)-1][j])
		default:
			sums[j] = float64(rows[0][j])
			for _, row := range rows[1:] {
				if mode == "max" {
					sums[j] = max(sums[j], float64(row[j]))
				} else {
					sums[j] += float64(row[j])
				}
			}
			if mode == "mean" {
				sums[j] /= float64(len(rows))
			}
		}
	}
	length := 0.
	for _, x := range sums {
		length += x * x
	}
	row := make([]float32, len(sums))
	for j, x := range sums {
		if normalize && length > 0 {
			x /= math.Sqrt(length)
		}
		row[j] = float32(x)
	}
	return row
}

var classifyKind = Kind{
	Name: "classify", Does: "names the most probable label of each row of logits, with its probability",
	Parameters: []Parameter{{Name: "labels", Does: "names of the labels in order, a comma between them; without them their numbers"}, {Name: "activation", Does: "`softmax`, `sigmoid` or `none`", Default: "softmax"}},
	Fixed: Signature{
		[]Spec{{Name: "logits", Type: "FP32", Dims: []int64{-1, -1}}},
		[]Spec{{Name: "label", Type: "BYTES", Dims: []int64{-1, 1}}, {Name: "score", Type: "FP32", Dims: []int64{-1, 1}}, {Name: "scores", Type: "FP32", Dims: []int64{-1, -1}}},
	},
	prepare: func(b *Builtin) error {
		if list := b.values["labels"]; list != "" {
			labels := strings.Split(list, ",")
			for i := range labels {
				labels[i] = strings.TrimSpace(labels[i])
			}
			b.prepared = labels
		}
		return b.oneOf("activation", "softmax", "sigmoid", "none")
	},
	compute: classify,
}

func classify(b *Builtin, in Tensors, _ TextModel) (Tensors, error) {
	n, width := in["logits"].rows()
	values := in["logits"].Float32s()
	if err := finite(values); err != nil {
		return nil, fmt.Errorf("input \"logits\": %w", err)
	}
	names, _ := b.prepared.([]string)
	if n > 0 && (width == 0 || names != nil && int64(len(names)) != width) {
		return nil, fmt.Errorf("input \"logits\": %d numbers a row, there are %d labels", width, len(names))
	}
	labels, best := make([]string, n), make([]float32, n)
	for i := range n {
		row := values[i*width:][:width]
		activate(b.values["activation"], row)
		top := 0
		for j, x := range row {
			if x > row[top] {
				top = j
			}
		}
		labels[i], best[i] = fmt.Sprint(top), row[top]
		if names != nil {
			labels[i] = names[top]
		}
	}
	return Tensors{"label": Of([]int64{n, 1}, labels...), "score": Floats([]int64{n, 1}, best), "scores": Floats([]int64{n, width}, values)}, nil
}

// activate makes probabilities of logits, in place.
func activate(how string, row []float32) {
	if how == "none" {
		return
	}
	if how == "sigmoid" {
		for i, x := range row {
			row[i] = float32(1 / (1 + math.Exp(-float64(x))))
		}
		return
	}
	greatest, sum := slices.Max(row), 0.
	for _, x := range row {
		sum += math.Exp(float64(x - greatest))
	}
	for i, x := range row {
		row[i] = float32(math.Exp(float64(x-greatest)) / sum)
	}
}
