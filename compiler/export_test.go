package compiler

import (
	"llmc/compiler/hf"
	"llmc/ir/grad"
)

// CheckpointRows gives the numbers of a checkpoint to what differentiates a function.
func CheckpointRows(c *hf.Checkpoint) grad.Weights { return checkpointRows{c} }
