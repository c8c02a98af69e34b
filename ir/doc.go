// Package ir is the compiler's view of a model: a module of straight-line functions over values in SSA form, with its
// weights (and how each comes from the checkpoint) and its caches.
//
// One table (Ops) says what every operation takes, gives and means. The builder, the verifier, the parser, the
// printer, the interpreter and docs/ops.md all read it. The text form is complete: Parse(Print(m)) equals m.
//
//	cache @kv {kind="paged", layers=1, kv_heads=2, dim=16, dtype="bf16"}
//	weight %embed : bf16[512,64] = tensor("model.embed_tokens.weight", 0:512)
//	func @step(%ids: i32[T], %kv0: kv[kv]) -> (f32[T,64], kv[kv]) {
//	  %x = gather %embed, %ids : f32[T,64]
//	  return %x, %kv0
//	}
//
// There is no control flow: layers are unrolled. Sizes are integers or forms of T, B, R and S. Writing a cache takes a
// token and gives the next one, so that order is dataflow.
//
// The package does not compute with weights, know targets, or decide what to fuse; it reads no files.
package ir
