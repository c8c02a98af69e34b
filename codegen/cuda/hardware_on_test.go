//go:build cuda

package cuda_test

import (
	"fmt"
	"sync"

	"llmc/runtime/device/cuda"
	"llmc/runtime/device/cuda/emulated"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
)

// installEmulated puts the emulated driver in the place of NVIDIA's, with the newest card that the emulator can be.
var installEmulated = sync.OnceValue(func() error {
	card, err := emu.Impersonate("sm90", 13000)
	if err != nil {
		return err
	}
	d := emulated.New(card)
	d.Options.Races = true
	return d.Install()
})

func openHardware(name string) (gpu.Driver, error) {
	switch name {
	case "cuda":
	case "emulated":
		if err := installEmulated(); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("LLMC_DEVICE is %q: must be cuda or emulated", name)
	}
	return cuda.Open()
}
