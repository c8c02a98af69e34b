package ir

import (
	"strings"
	"testing"
)

func TestRotatedRecipes(t *testing.T) {
	whole := Rotate(TensorRows("w", 8, 64), TensorRows("n", 0, 24), "r24", "r32", 24)
	text := `rotated(0:64, "r24", "r32", tensor("w", 8:72), tensor("n", 0:24))`
	if whole.String() != text {
		t.Errorf("printed as %v", whole)
	}
	again, err := ParseRecipe(text, 24)
	if err != nil || !again.Equal(whole) {
		t.Errorf("parsed as %v, %v", again, err)
	}
	low, ok := SliceRows(whole, 24, 0, 20)
	high, both := SliceRows(whole, 24, 20, 44)
	if !ok || !both || low.String() != strings.Replace(text, "0:64", "0:20", 1) {
		t.Errorf("sliced to %v and %v", low, high)
	}
	if joined := ConcatRows(low, high); !joined.Equal(whole) || !high.Whole(24).Equal(whole) {
		t.Errorf("joined to %v, all of %v is %v", joined, high, high.Whole(24))
	}
	if other := Rotate(TensorRows("w", 8, 64), nil, "r24", "r32", 24); other.Equal(whole) || ConcatRows(low, other).Kind != Concat {
		t.Error("scales make no difference")
	}
	if rows, out := whole.Unmixed(); rows.Out != "" || out != "r32" || rows.In != "r24" || whole.Out != "r32" {
		t.Errorf("unmixed to %v by %q", rows, out)
	}
}

func TestScaledRowsAreSlicedAndPrinted(t *testing.T) {
	whole := ScaleRows(TensorRows("w", 4, 3), []float32{1, 0.5, 3}, 24)
	text := `scaled(0:3, tensor("w", 4:7), const(1, 0.5, 3))`
	again, err := ParseRecipe(text, 24)
	if err != nil || whole.String() != text || !again.Equal(whole) {
		t.Errorf("%v is parsed as %v, %v", whole, again, err)
	}
	low, _ := SliceRows(whole, 24, 0, 1)
	high, _ := SliceRows(whole, 24, 1, 2)
	if joined := ConcatRows(low, high); !joined.Equal(whole) || whole.Turned() || whole.Scale() != nil {
		t.Errorf("joined to %v", joined)
	}
	if other := ScaleColumns(TensorRows("w", 4, 3), []float32{1, 0.5, 3}, 3); other.Equal(whole) || other.Turned() || other.RowScale() != nil {
		t.Errorf("%v is taken for %v", other, whole)
	}
}

func TestRotatedRecipesAreChecked(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`rotated(0:64, "r24", "", tensor("w", 0:32))`, "bad range"},
		{`rotated(40:8, "r24", "", tensor("w", 0:64))`, "bad range"},
		{`rotated(0:64, "", "", tensor("w", 0:64))`, "changes nothing"},
		{`scaled(0:2, tensor("w", 0:2))`, "the scales of its rows"},
		{`scaled(0:2, tensor("w", 0:2), const(1, 2, 3))`, "scales of 2 rows"},
		{`scaled(0:2, tensor("w", 0:2), tensor("n", 0:2))`, "scales of 2 rows"},
		{`rotated(0:64, "r16", "", tensor("w", 0:64))`, "not whole blocks"},
		{`rotated(0:64, "", "r48", tensor("w", 0:64))`, "not whole blocks"},
		{`rotated(0:64, "h24", "", tensor("w", 0:64))`, "not a power of two"},
		{`rotated(0:64, "q24", "", tensor("w", 0:64))`, "unknown rotation"},
		{`rotated(0:64, "r24", "", tensor("w", 0:64), tensor("n", 0:8))`, "8 scales of 24 columns"},
		{`rotated(0:64, "r24", "", tensor("w", 0:64), zeros(24), zeros(24))`, "not 3 parts"},
		{`rotated(0:64, "r24", tensor("w", 0:64))`, "the rotation of columns"},
		{strings.Repeat(`rotated(0:64, "r24", "", `, 12) + `zeros(64)` + strings.Repeat(")", 12), "nested too deeply"},
	} {
		if r, err := ParseRecipe(c.text, 24); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want %q", c.text, r, err, c.want)
		}
	}
}
