package ir

import (
	"errors"
	"fmt"
	"slices"

	"llmc/internal/rotation"
)

// Rotate takes all rows that whole gives for rows of cols elements: each element times that of scale in its column, if scale is not nil, then the rows turned
// by the matrix in and the columns by the matrix out, both named as package rotation names them, "" for none.
func Rotate(whole, scale *Recipe, in, out string, cols int64) *Recipe {
	r := &Recipe{Kind: Rotated, Count: whole.Rows(cols), In: in, Out: out, Parts: []*Recipe{whole}}
	if scale != nil {
		r.Parts = append(r.Parts, scale)
	}
	return r
}

// ScaleColumns takes what whole gives for rows of cols elements, each element times the factor of its column.
func ScaleColumns(whole *Recipe, factors []float32, cols int64) *Recipe {
	return Rotate(whole, Constant(factors), "", "", cols)
}

// ScaleRows takes what whole gives for rows of cols elements, each element times the factor of its row.
func ScaleRows(whole *Recipe, factors []float32, cols int64) *Recipe {
	return &Recipe{Kind: Rotated, Count: whole.Rows(cols), ByRow: true, Parts: []*Recipe{whole, Constant(factors)}}
}

// Whole returns the recipe of all rows of the matrix that a Rotated recipe takes some of.
func (r *Recipe) Whole(cols int64) *Recipe {
	whole := *r
	whole.Start, whole.Count = 0, r.Parts[0].Rows(cols)
	return &whole
}

// Unmixed returns the recipe of the same rows before columns are turned, when each depends on its own row alone, and the matrix that
// is to turn them; "" if there is none.
func (r *Recipe) Unmixed() (unmixed *Recipe, out string) {
	if r.Kind != Rotated || r.Out == "" {
		return r, ""
	}
	rows := *r
	rows.Out = ""
	return &rows, r.Out
}

// Turned tells whether any row is of a turned matrix.
func (r *Recipe) Turned() bool {
	return r != nil && (r.Kind == Rotated && (r.In != "" || r.Out != "") || slices.ContainsFunc(r.Parts, (*Recipe).Turned))
}

// Scale returns what the columns of a Rotated recipe are multiplied with, nil for nothing.
func (r *Recipe) Scale() *Recipe {
	if len(r.Parts) < 2 || r.ByRow {
		return nil
	}
	return r.Parts[1]
}

// RowScale returns what the rows of the matrix of a Rotated recipe are multiplied with, nil for nothing.
func (r *Recipe) RowScale() *Recipe {
	if len(r.Parts) < 2 || !r.ByRow {
		return nil
	}
	return r.Parts[1]
}

// sameMatrix tells whether two Rotated recipes take rows of the same matrix.
func (r *Recipe) sameMatrix(s *Recipe) bool {
	a, b := *r, *s
	a.Start, a.Count, b.Start, b.Count = 0, 0, 0, 0
	return a.Equal(&b)
}

// checkRotated wants whole blocks, so that any range of rows can be computed from few others.
func (r *Recipe) checkRotated(cols int64, depth int) error {
	if len(r.Parts) < 1 || len(r.Parts) > 2 {
		return fmt.Errorf("recipe: rotated takes a part and perhaps the scales of its columns, not %d parts", len(r.Parts))
	}
	if err := r.Parts[0].check(cols, depth+1); err != nil {
		return err
	}
	rows := r.Parts[0].Rows(cols)
	if r.Start < 0 || r.Count < 1 || r.Start > rows || r.Count > rows-r.Start {
		return fmt.Errorf("recipe: bad range %d:%d of %d turned rows", r.Start, r.Start+r.Count, rows)
	}
	if scale := r.Scale(); scale != nil {
		if err := scale.check(1, depth+1); err != nil {
			return err
		}
		if n := scale.Rows(1); n != cols {
			return fmt.Errorf("recipe: %d scales of %d columns", n, cols)
		}
	}
	if scale := r.RowScale(); r.ByRow {
		switch {
		case scale == nil || r.In != "" || r.Out != "":
			return errors.New("recipe: rotated by row takes a part and the scales of its rows, and turns nothing")
		case scale.Kind != FromValues || int64(len(scale.Values)) != rows:
			return fmt.Errorf("recipe: scales of %d rows are as many numbers", rows)
		}
		return nil
	}
	if r.In == "" && r.Out == "" && r.Scale() == nil {
		return errors.New("recipe: rotated changes nothing")
	}
	for _, turn := range []struct {
		name string
		size int64
	}{{r.In, cols}, {r.Out, rows}} {
		if turn.name == "" {
			continue
		}
		matrix, err := rotation.Find(turn.name)
		if err != nil {
			return fmt.Errorf("recipe: %w", err)
		}
		if turn.size%int64(matrix.Block) != 0 {
			return fmt.Errorf("recipe: rotation %s of %d numbers, which are not whole blocks", turn.name, turn.size)
		}
	}
	return nil
}
