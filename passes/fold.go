package passes

import "llmc/ir"

// foldRules remove what changes nothing and join what can be one step.
//
// Before:
//
//	func @f(%x: f32[T,8]) -> (f32[T,4]) {
//	  %a = scale %x {by=0.5} : f32[T,8]
//	  %b = scale %a {by=2} : f32[T,8]
//	  %c = slice %b {start=2, len=6} : f32[T,6]
//	  %d = slice %c {start=1, len=4} : f32[T,4]
//	  return %d
//	}
//
// After:
//
//	func @f(%x: f32[T,8]) -> (f32[T,4]) {
//	  %d = slice %x {start=3, len=4} : f32[T,4]
//	  return %d
//	}
var foldRules = []Rule{
	{
		Name: "scale-scale", Match: "(scale (scale x {by=$a}) {by=$b})", Replace: "(scale x {by=$c})",
		Sets:   []string{"$c"},
		Derive: func(m *Match) { m.SetAttr("c", m.Attr("a").(float64)*m.Attr("b").(float64)) },
	},
	{Name: "scale-one", Match: "(scale x {by=1})", Replace: "x"},
	{
		Name: "slice-slice", Match: "(slice (slice x {start=$a len=$n}) {start=$b len=$k})", Replace: "(slice x {start=$c len=$k})",
		Sets:   []string{"$c"},
		Derive: func(m *Match) { m.SetAttr("c", m.Attr("a").(int64)+m.Attr("b").(int64)) },
	},
	{
		Name: "slice-all", Match: "(slice x {start=0 len=$n})", Replace: "x",
		When: func(m *Match) bool { return columns(m.Value("x")) == m.Attr("n").(int64) },
	},
	{Name: "cast-same", Match: `(cast x {dtype="f32"})`, Replace: "x"},
	{
		Name: "zero-bias", Match: "(linear x w b)", Replace: "(linear x w)",
		When: func(m *Match) bool { return allZero(m.Value("b").Weight.Recipe) },
	},
}

func columns(v *ir.Value) int64 {
	n, _ := v.Type.Cols()
	return n
}

// allZero tells whether a recipe is known to give nothing but zeros.
func allZero(r *ir.Recipe) bool {
	if r.Kind == ir.FromTensor {
		return false
	}
	for _, v := range r.Values {
		if v != 0 {
			return false
		}
	}
	for _, p := range r.Parts {
		if !allZero(p) {
			return false
		}
	}
	return true
}
