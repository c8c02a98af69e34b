// Package passes turns a module as imported into one that code generation can read off: folded, fused, quantized, with
// a kernel for each op, a layout for each weight, an order with barriers and a place for each activation.
//
// Table lists the passes in the order in which they run; order states why. Each pass is a file of its own, whose comment shows a
// function before and after it. Rewrites are rows of patterns. Passes are deterministic: nothing here ranges over a map.
//
// The package knows no target: it asks one through the Target interface. It computes no weight: a fused weight is a recipe
// over the checkpoint's tensors.
package passes
