//go:build cuda

package emulated

import (
	"encoding/json"
	"fmt"
	"os"

	"llmc/engine"
	"llmc/runtime/device/emu"
)

// Environment is the name under which tests of commands give these the faults of an emulated driver, as JSON; the command, and what it starts, then finds that in the
// place of NVIDIA's.
const Environment = "LLMC_TEST_DRIVER"

const (
	smallCard = 1 << 30
	idleCard  = 24 << 30 // memory of a card that does nothing takes none here
)

// FromEnvironment installs the driver that the environment asks for, if it does, with a card of a target and a version of CUDA.
func FromEnvironment(target string, version engine.CUDAVersion) error {
	text := os.Getenv(Environment)
	if text == "" {
		return nil
	}
	var how struct {
		Faults
		Idle bool
	}
	if err := json.Unmarshal([]byte(text), &how); err != nil {
		return fmt.Errorf("%s: %w", Environment, err)
	}
	card, err := emu.Impersonate(target, version)
	if err != nil {
		return err
	}
	if card.Memory = smallCard; how.Idle {
		card.Memory = idleCard
	}
	d := New(card)
	d.Faults, d.Idle = how.Faults, how.Idle
	return d.Install()
}
