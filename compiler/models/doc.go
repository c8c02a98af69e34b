// Package models turns a checkpoint's config.json and tensor names into a module of the IR: one declarative file for each
// family, one row for each in the registry.
//
// A family reads its keys of config.json, describes the model, and asks for tensors by name and shape; what the shared parts
// (decoder, rotary embedding, key rules) do not say is in the family's file. A key that may change what the model computes and
// that the family does not know is an error, and so is a tensor that nothing uses: a plan is right or is not built.
//
// The meaning of every key is that of the transformers library (5.23), whose recorded outputs the tests compare with.
// The package reads no weights except to find out whether two tied tensors are equal, and knows neither targets nor quantization.
package models
