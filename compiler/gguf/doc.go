// Package gguf reads GGUF files, the checkpoints of llama.cpp and its relatives (format: the ggml repository, docs/gguf.md), as the checkpoints that package hf knows:
// metadata become the keys of a config.json, tensors get the names and the order of rows of transformers, the vocabulary
// becomes the files of a tokenizer. Quantized tensors are given as the numbers that their blocks stand for.
//
// Files are untrusted: counts, lengths, offsets and types are checked against the file before they are used, nothing is allocated because a
// file claims to hold it, and mistakes are *hf.Error values that name file, key or tensor.
//
// What differs between families of models is rows of the table in architectures.go. The package knows nothing of the IR.
package gguf
