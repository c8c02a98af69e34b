// Package cuda generates programs for NVIDIA GPUs: it answers the passes' questions for them and writes the kernels of a program
// as PTX, each specialised for the shapes, strides and formats of its launches. One file holds one family of kernels.
//
// Products of matrices have the weights on the M side of the matrix instructions and the tokens on the N side, so that one token
// wastes nothing. Weights lie in the order of fragments (engine/layout), K is cut into eight parts, and the parts are added in
// order: a result depends on its own row of inputs alone. linear.go has the products of few
// tokens on mma.sync, multistage.go those of many, wide.go those of sm90 on wgmma; weights.go has what readers of a format share.
//
// Attention goes through the cache in tiles of 64 positions that begin at multiples of 64. What a tile gives is a function of the row and
// the tile alone, and is merged in order of position: a result does not depend on the chunk, the batch or the size of pages.
//
// Caches are numbers of 16 bits or codes with a scale for each row, which become f16 on their way to the matrix units (attention_format.go, cache_codes.go).
// Those of int8, and of 4 bits (cache_u4.go), are of rows that were multiplied with Hadamard matrices: so are the queries, and the results once more (hadamard.go,
// attention_hadamard.go).
//
// Attention over rows of a latent cache is the same with one KV head, whose values are the first channels of its keys (attention_latent.go); latent.go writes
// the rows and has the products of each head's columns around it.
//
// A mixture of experts is four kinds of launches: route.go chooses the experts of each row, dispatch.go sorts rows by expert, experts.go multiplies them with
// stacks of matrices and adds up what a row's experts give. Its products are those of linear.go, tile by tile of one expert's rows.
//
// States of sequences are moved on by CTAs that have some channels of a sequence and all of its tokens (state.go): a convolution, whose tokens warps take side
// by side, and a scan, which takes them one by one.
//
// Sampling (sample*.go) is a few launches behind the logits, which engine's table lists in their order. Rows are sampled side by side, with settings
// of their own; a launch that only some rows want leaves out the others. Everything is integers but for the masses of tokens, so that atomics
// may add them up, and the answer is that of runtime/sample.
package cuda
