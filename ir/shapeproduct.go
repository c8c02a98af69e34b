package ir

import "fmt"

// SquareColumns is how many columns linear_add adds the squares of.
const SquareColumns = 16

// TurnBlock is how many rows of the two halves of a head's turning channels alternate in the weight of linear_rope_kv.
const TurnBlock = 8

// squareSums is how many sums of squares linear_add gives for a row of n columns.
func squareSums(n int64) int64 { return (n + SquareColumns - 1) / SquareColumns }

// checkLinear verifies what all products have: x [M,K], w [N,K], perhaps a bias [N] and what x was quantized from.
func checkLinear(op *Op) error {
	x, w, raw := op.Arg("x"), op.Arg("w"), op.Arg("raw")
	if raw != nil {
		base, _ := SplitQuant(x.Type.Quant)
		if f := FindActivation(base); raw.Type.Quant != MaximaFormat || f == nil || f.Group != NoGroups {
			return fmt.Errorf("operand %q is %v and x %v; it must be %s and x have a scale for each row alone", "raw", raw.Type, x.Type, MaximaFormat)
		}
	}
	return firstError(checkProduct(x, w), wantLength(op, "bias", first(w)), wantCols(op, "raw", cols(x)), sameRows(x, raw))
}

// checkNormed also verifies the squares of a product that may finish the norm of its input.
func checkNormed(op *Op) error {
	x := op.Arg("x")
	return firstError(checkLinear(op), wantCols(op, "squares", squareSums(cols(x))), sameRows(x, op.Arg("squares")))
}

func shapeLinear(_ *Module, op *Op) ([]Type, error) {
	if err := checkNormed(op); err != nil {
		return nil, err
	}
	return []Type{F32(op.Arg("x").Type.Rows(), first(op.Arg("w")))}, nil
}

func shapeLinearAct(_ *Module, op *Op) ([]Type, error) {
	if err := checkNormed(op); err != nil {
		return nil, err
	}
	return floatResult(op, op.Arg("x").Type.Rows(), first(op.Arg("w")))
}

func shapeLinearSwiGLU(_ *Module, op *Op) ([]Type, error) {
	x, w, f := op.Arg("x"), op.Arg("w"), op.Int("features")
	if want := 2 * roundUp(f, op.Int("block")); first(w) != want {
		return nil, fmt.Errorf("w has %d rows instead of %d for %d features", first(w), want, f)
	}
	if err := checkNormed(op); err != nil {
		return nil, err
	}
	return floatResult(op, x.Type.Rows(), f)
}

func shapeLinearAdd(_ *Module, op *Op) ([]Type, error) {
	x, n := op.Arg("x"), first(op.Arg("w"))
	err := firstError(checkLinear(op), wantCols(op, "residual", n), sameRows(x, op.Arg("residual")), wantLength(op, "norm", n))
	if err != nil {
		return nil, err
	}
	scaled, err := floatResult(op, x.Type.Rows(), n)
	return append([]Type{F32(x.Type.Rows(), n)}, append(scaled, F32(x.Type.Rows(), squareSums(n)))...), err
}

func shapeRopeTurns(_ *Module, op *Op) ([]Type, error) {
	freq := op.Arg("inv_freq")
	if first(freq) != 1 {
		return nil, fmt.Errorf("inv_freq is %v; it must have one row", freq.Type)
	}
	return []Type{F32(op.Arg("positions").Type.Rows(), 2*cols(freq))}, nil
}

func shapeLinearRopeKV(m *Module, op *Op) ([]Type, error) {
	c, err := cacheOf(m, op)
	if err != nil {
		return nil, err
	}
	heads, dim, rotary := op.Int("heads"), op.Int("dim"), RotaryDim(op, op.Int("dim"))
	if rotary > dim || rotary%(2*TurnBlock) != 0 {
		return nil, fmt.Errorf("rotary_dim %d must be at most dim %d and a multiple of %d", rotary, dim, 2*TurnBlock)
	}
	if n, want := first(op.Arg("w")), (heads+2*c.KVHeads)*dim; n != want {
		return nil, fmt.Errorf("w has %d rows instead of %d", n, want)
	}
	err = firstError(checkNormed(op), checkHeads(op, c), wantCols(op, "turns", rotary), sameRows(op.Arg("x"), op.Arg("turns")))
	if err != nil {
		return nil, err
	}
	q, err := floatResult(op, op.Arg("x").Type.Rows(), heads*dim)
	return append(q, Token(c.Name)), err
}
