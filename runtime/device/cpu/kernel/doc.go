// Package kernel computes: the micro-kernels of the CPU target in Go assembly, their plain-Go references, and the drivers that walk
// them over matrices and pages. It owns arithmetic and nothing else: no threads, no memory beyond a worker's Scratch, no knowledge of
// models, steps or plans. No call allocates, but that a Scratch grows with the largest product on tiles; no assembly call runs for more than about a
// millisecond.
//
// # Use
//
// Find returns the Set of a target, Detect those that the machine can run. A Set's methods are safe for concurrent use; each worker brings
// its own Scratch to those that ask for one.
//
//	Linear, LinearSwiGLU          y = x * transpose(w) over a range of panels, x in the form that Matrix.Input describes, or that form with one digit
//	Quantize                      one row to an activation format (f32, bf16, q8t, q8g, q16t, q16g)
//	Attend                        paged attention of rows of one KV head; AttendSplits and Finish share a long sequence among workers
//	StoreKV                       one position's key and value into a page
//	Convolve, Scan                one block of channels of a sequence's state, moved on by some of its tokens
//	RMSNorm, AddRMSNorm, Rope, SwiGLU, SiLU, Add, Mul, Exp, ArgMax, ToBF16, FromBF16, Gather
//
// Arguments come from a plan that was checked when it was loaded: slices are bounds-checked where Go does it anyway, and where assembly
// would read or write outside them; a violation panics.
//
// # What is fixed
//
// Every result is one sequence of floating point operations, the same on all sets, for every tile size, number of rows and range of panels:
//
//   - A linear sums inside a segment of K in order, then adds the segments' partials in order (see layout.Linear.Segment). f32: fused multiply-adds
//     over k. bf16: for each pair of k the odd product, then the even one, fused. u8: exact integers, then f32(sum) * (wscale*xscale).
//     u4: per group exact integers, then acc = fma(f32(sum)*xscale, wscale, acc). Where x has two digits there are two integer sums, and
//     f32(sum) is fma(f32(second), 1/256, f32(first)). u4f: likewise with a 256th of the group's scale, then y*(what is stored of the output's). With minimums the group's comes behind: acc = fma(f32(sum of x)*xscale, minimum, acc). Weights that are opened: as f32 over parts of 128 k, whose sums are added in order.
//   - Attention takes splits of SplitLength positions by absolute position: scores over channels in order, exact maximum, weights, their sum in 16
//     lanes by position, values position after position; splits are combined in order. For a cache of bf16 queries and weights are bf16, for f16 and
//     e4m3 f32, and what is cached is widened. For i8 they are two digits with a scale for each row (of a split, for weights), and sums exact
//     integers: f32(sum) * (scale of key * scale of query), and f32(sum) * scale of weights, which have been multiplied with the values' scales.
//   - States move on token by token, each channel by itself: a scan adds up states in order.
//   - Row operations are elementwise, or sum in a fixed number of lanes (rowKernels.sumSquares).
//
// Sets with AVX512_BF16 differ in one respect: where bf16 is involved they treat subnormal numbers as zero, because the instructions do. Those with
// AMX also sum linears of bf16, and attention over bf16 for heads of whole tiles, in the order of their tiles (dotTile), for one row as for many.
//
// # Speed
//
// go test -run xxx -bench . -benchtime 15x runs kernels and what bounds them (package roofline) in turns; -cpu 1 measures one worker in
// processor time, which neighbours on the machine disturb least.
//
// # Files
//
// *_ref.go hold the references, which are also the generic set; amx.go and attend_tile_*.go what sets with AMX do on tiles. z*_amd64.s and their declarations are written by gen (go generate); its
// test fails when they are out of date.
package kernel

//go:generate go run ./gen
