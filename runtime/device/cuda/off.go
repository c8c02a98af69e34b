//go:build !cuda

package cuda

import "llmc/runtime/device/gpu"

// Built tells whether this binary can use GPUs.
const Built = false

func open() (gpu.Driver, error) { return nil, ErrNotBuilt }

func openCards(int, int) ([]gpu.Driver, error) { return nil, ErrNotBuilt }
