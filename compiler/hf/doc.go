// Package hf reads checkpoints in HuggingFace layout: config.json, generation_config.json, safetensors (one file or
// shards named by an index) and the files that travel with them (tokenizer, chat templates, licence, model card).
//
// Everything it reads is untrusted. Each size is checked against the file before it is used, JSON is bounded in depth
// and number of values, and problems are *Error values that name the file and the tensor or field in it. Weights are
// memory-mapped and converted to f32 a few rows at a time, and mapped pages are given back after use, so that memory does not
// grow with the model. Formats that can run code when they are read (pickle) are refused.
//
// The package knows nothing of model families, of the IR, or of what the numbers mean.
package hf
