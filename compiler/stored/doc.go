// Package stored owns the formats in which checkpoints come that are quantized already: one file for each method of quantization_config, and a
// table of them. It puts a matrix of codes in place of the tensors that hold its parts, and neither rounds nor repacks anything: whoever reads
// the matrix gets the file's own codes and scales, or the numbers that they stand for.
//
// Which linears are quantized is what the tensors say; config.json says how. Other tensors stay as they are.
package stored
