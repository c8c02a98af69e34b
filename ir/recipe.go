package ir

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
)

// RecipeKind tells which fields of a Recipe are meant.
type RecipeKind uint8

// The kinds of recipes.
const (
	FromTensor RecipeKind = iota // rows of one tensor of the checkpoint
	FromValues                   // numbers given here
	FromZeros                    // rows of zeros
	Concat                       // the parts' rows, one part after the other
	Interleave                   // blocks of rows taken from the parts in turn
	Rotated                      // rows of what a part gives, scaled and turned; see rotated.go
)

// Recipe says how the rows (first axis, of a stack of matrices those of all of them) of a weight come from the checkpoint. A writer streams any range of rows through
// Runs with bounded memory, whatever was fused. Recipes are never changed once made: weights may share them.
type Recipe struct {
	Kind RecipeKind

	// FromTensor: rows [Start, Start+Count) of Tensor as it would be after Transpose, each element mapped by Transform.
	Tensor       string
	Start, Count int64 // FromZeros uses Count too, Rotated both
	Transpose    bool  // the checkpoint stores [inputs, outputs]
	// Left and Total: of a transposed tensor's Total columns those from Left on that fill a row. Total 0: all.
	Left, Total int64
	Transform   string

	Values []float32 // FromValues: all elements, row-major

	// Interleave takes Block rows from each part in turn; parts are padded with rows of zeros to whole blocks.
	Block int64
	Parts []*Recipe

	// Rotated: names of matrices of package rotation, "" for none. ByRow says that Parts[1] has a factor for each row, not for each column.
	In, Out string
	ByRow   bool
}

// Transforms are the element-wise maps that a recipe may ask for.
var Transforms = []struct {
	Name  string
	Doc   string
	Apply func(x float32) float32
}{
	{"negexp", "-exp(w): what a state forgets, of which checkpoints store the logarithm (Mamba)", func(x float32) float32 { return float32(-math.Exp(float64(x))) }},
	{"add1", "1 + w: RMS norms that store their weight's distance from one (Gemma)", func(x float32) float32 { return 1 + x }},
}

// ApplyTransform maps values in place as the transform of that name says; "" leaves them.
func ApplyTransform(values []float32, name string) error {
	if name == "" {
		return nil
	}
	for _, t := range Transforms {
		if t.Name == name {
			for i, v := range values {
				values[i] = t.Apply(v)
			}
			return nil
		}
	}
	return fmt.Errorf("unknown transform %q", name)
}

func transformNames() []string {
	var names []string
	for _, t := range Transforms {
		names = append(names, t.Name)
	}
	return names
}

// TensorRows takes rows [start, start+count) of a tensor.
func TensorRows(tensor string, start, count int64) *Recipe {
	return &Recipe{Kind: FromTensor, Tensor: tensor, Start: start, Count: count}
}

// Constant holds its values itself.
func Constant(values []float32) *Recipe { return &Recipe{Kind: FromValues, Values: values} }

// Zeros gives count rows of zeros.
func Zeros(count int64) *Recipe { return &Recipe{Kind: FromZeros, Count: count} }

// ConcatRows puts the parts' rows one after the other. Neighbouring ranges of one tensor become one range.
func ConcatRows(parts ...*Recipe) *Recipe {
	var flat []*Recipe
	for _, p := range parts {
		if p.Kind == Concat {
			flat = append(flat, p.Parts...)
		} else {
			flat = append(flat, p)
		}
	}
	var merged []*Recipe
	for _, p := range flat {
		if n := len(merged); n > 0 && merged[n-1].continuedBy(p) {
			whole := *merged[n-1]
			whole.Count += p.Count
			merged[n-1] = &whole
			continue
		}
		merged = append(merged, p)
	}
	if len(merged) == 1 {
		return merged[0]
	}
	return &Recipe{Kind: Concat, Parts: merged}
}

func (r *Recipe) continuedBy(p *Recipe) bool {
	if r.Kind == Rotated {
		return r.sameMatrix(p) && r.Start+r.Count == p.Start
	}
	return r.Kind == FromTensor && p.Kind == FromTensor && r.Tensor == p.Tensor && r.Transpose == p.Transpose &&
		r.Left == p.Left && r.Total == p.Total && r.Transform == p.Transform && r.Start+r.Count == p.Start
}

// InterleaveRows takes block rows from each part in turn, zero rows where a part's last block is short.
func InterleaveRows(block int64, parts ...*Recipe) *Recipe {
	return &Recipe{Kind: Interleave, Block: block, Parts: parts}
}

// SliceRows takes rows [start, start+count) of a recipe of cols elements a row; ok is false where its rows alternate.
func SliceRows(r *Recipe, cols, start, count int64) (part *Recipe, ok bool) {
	switch r.Kind {
	case FromTensor, Rotated:
		whole := *r
		whole.Start, whole.Count = r.Start+start, count
		return &whole, true
	case FromZeros:
		return Zeros(count), true
	case FromValues:
		return Constant(r.Values[start*cols : (start+count)*cols]), true
	case Concat:
		return sliceParts(r.Parts, cols, start, count)
	}
	return nil, false
}

func sliceParts(all []*Recipe, cols, start, count int64) (*Recipe, bool) {
	var parts []*Recipe
	for _, p := range all {
		rows := p.Rows(cols)
		from, to := max(start, 0), min(start+count, rows)
		start -= rows
		if from >= to {
			continue
		}
		part, ok := SliceRows(p, cols, from, to-from)
		if !ok {
			return nil, false
		}
		parts = append(parts, part)
	}
	return ConcatRows(parts...), true
}

// Rows returns how many rows the recipe gives when a row has cols elements.
func (r *Recipe) Rows(cols int64) int64 {
	switch r.Kind {
	case FromTensor, FromZeros, Rotated:
		return r.Count
	case FromValues:
		return int64(len(r.Values)) / cols
	}
	var sum, longest int64
	for _, p := range r.Parts {
		n := p.Rows(cols)
		sum, longest = sum+n, max(longest, n)
	}
	if r.Kind == Concat {
		return sum
	}
	return roundUp(longest, r.Block) * int64(len(r.Parts))
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// Run is a range of a weight's rows that lie together in their source.
type Run struct {
	Source *Recipe // FromTensor, FromValues, FromZeros or Rotated
	First  int64   // first row in the source: of the tensor or the turned matrix itself (Start is added in), or of Values
	Rows   int64
}

// Runs cuts rows [from, to) of a weight with cols elements a row into runs, in order.
func (r *Recipe) Runs(cols, from, to int64) iter.Seq[Run] {
	return func(yield func(Run) bool) { r.runs(cols, from, to, yield) }
}

func (r *Recipe) runs(cols, from, to int64, yield func(Run) bool) bool {
	if from >= to {
		return true
	}
	switch r.Kind {
	case FromTensor, Rotated:
		return yield(Run{r, r.Start + from, to - from})
	case FromValues, FromZeros:
		return yield(Run{r, from, to - from})
	case Interleave:
		return r.interleavedRuns(cols, from, to, yield)
	}
	for _, p := range r.Parts {
		n := p.Rows(cols)
		if !p.runs(cols, min(from, n), min(to, n), yield) {
			return false
		}
		from, to = max(0, from-n), max(0, to-n)
	}
	return true
}

func (r *Recipe) interleavedRuns(cols, from, to int64, yield func(Run) bool) bool {
	for from < to {
		block, within := from/r.Block, from%r.Block
		part := r.Parts[block%int64(len(r.Parts))]
		count := min(r.Block-within, to-from)
		first := block/int64(len(r.Parts))*r.Block + within
		stored := min(count, max(0, part.Rows(cols)-first))
		if !part.runs(cols, first, first+stored, yield) {
			return false
		}
		if zeros := count - stored; zeros > 0 && !yield(Run{Zeros(zeros), 0, zeros}) {
			return false
		}
		from += count
	}
	return true
}

// maxRecipeDepth bounds nesting, and with it recursion.
const maxRecipeDepth = 8

// check verifies the recipe of a weight with cols elements a row.
func (r *Recipe) check(cols int64, depth int) error {
	if depth > maxRecipeDepth {
		return errors.New("recipe is nested too deeply")
	}
	switch r.Kind {
	case FromTensor:
		if r.Tensor == "" || r.Start < 0 || r.Count < 1 || r.Start > maxDim || r.Count > maxDim {
			return fmt.Errorf("recipe: bad range %d:%d of tensor %q", r.Start, r.Start+r.Count, r.Tensor)
		}
		if r.Left < 0 || r.Total < 0 || r.Total > maxDim || r.Total != 0 && (!r.Transpose || r.Left > r.Total-cols) || r.Total == 0 && r.Left != 0 {
			return fmt.Errorf("recipe: columns %d:%d of %d of tensor %q", r.Left, r.Left+cols, r.Total, r.Tensor)
		}
		if r.Transform != "" && !slices.Contains(transformNames(), r.Transform) {
			return fmt.Errorf("recipe: unknown transform %q%s", r.Transform, hint(r.Transform, transformNames()))
		}
		return nil
	case FromValues:
		if len(r.Values) == 0 || int64(len(r.Values))%cols != 0 {
			return fmt.Errorf("recipe: %d values do not fill rows of %d", len(r.Values), cols)
		}
		return nil
	case FromZeros:
		if r.Count < 1 || r.Count > maxDim {
			return fmt.Errorf("recipe: bad number of zero rows %d", r.Count)
		}
		return nil
	case Rotated:
		return r.checkRotated(cols, depth)
	}
	if len(r.Parts) < 2 || r.Kind == Interleave && (r.Block < 1 || r.Block > maxDim) {
		return errors.New("recipe: concat and interleave take at least two parts, interleave a positive block")
	}
	for _, p := range r.Parts {
		if err := p.check(cols, depth+1); err != nil {
			return err
		}
	}
	if rows := r.Rows(cols); rows > maxDim {
		return fmt.Errorf("recipe gives %d rows, at most %d", rows, int64(maxDim))
	}
	return nil
}

// Equal compares all parts.
func (r *Recipe) Equal(s *Recipe) bool {
	return r.Kind == s.Kind && r.Tensor == s.Tensor && r.Start == s.Start && r.Count == s.Count && r.Transpose == s.Transpose && r.Left == s.Left && r.Total == s.Total &&
		r.Transform == s.Transform && r.Block == s.Block && r.In == s.In && r.Out == s.Out && r.ByRow == s.ByRow && slices.Equal(r.Values, s.Values) && slices.EqualFunc(r.Parts, s.Parts, (*Recipe).Equal)
}
