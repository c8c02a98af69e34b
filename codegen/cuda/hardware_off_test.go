//go:build !cuda

package cuda_test

import (
	"fmt"

	"llmc/runtime/device/gpu"
)

func openHardware(name string) (gpu.Driver, error) {
	return nil, fmt.Errorf("LLMC_DEVICE=%s: these tests were built without tag cuda", name)
}
