package passes

// fuseAddNormRules join a residual sum with the norm that reads it: the row is read once for both.
//
// Before:
//
//	weight %w : f32[8]
//	func @f(%x: f32[T,8], %delta: f32[T,8]) -> (f32[T,8], f32[T,8]) {
//	  %sum = add %x, %delta : f32[T,8]
//	  %normed = rmsnorm %sum, %w {eps=1e-05} : f32[T,8]
//	  return %sum, %normed
//	}
//
// After:
//
//	weight %w : f32[8]
//	func @f(%x: f32[T,8], %delta: f32[T,8]) -> (f32[T,8], f32[T,8]) {
//	  %sum, %normed = add_rmsnorm %x, %delta, %w {eps=1e-05} : f32[T,8], f32[T,8]
//	  return %sum, %normed
//	}
var fuseAddNormRules = []Rule{
	{
		Name: "add-rmsnorm", Match: "normed=(rmsnorm sum=(add x delta) w {eps=$e})", Replace: "(add_rmsnorm x delta w {eps=$e})",
		Gives: []string{"sum", "normed"},
	},
	{
		Name: "add-layernorm", Match: "normed=(layernorm sum=(add x delta) w {eps=$e})", Replace: "(add_layernorm x delta w {eps=$e})",
		Gives: []string{"sum", "normed"},
	},
	{
		Name: "add-layernorm-bias", Match: "normed=(layernorm sum=(add x delta) w b {eps=$e})", Replace: "(add_layernorm x delta w b {eps=$e})",
		Gives: []string{"sum", "normed"},
	},
}
