package runtime

import (
	"fmt"
	"slices"

	"llmc/engine"
	"llmc/runtime/device/cpu"
	"llmc/runtime/device/cuda"
	"llmc/runtime/device/gpu"
)

func cardTargets() []string {
	card, err := cuda.Device{}.Card()
	if err != nil { // there is none; who asks for it by name is told when the plan is loaded
		return nil
	}
	return gpu.Targets(card.Capability)
}

func processorTargets() []string {
	var names []string
	for _, t := range engine.Targets {
		if t.Device == (cpu.Device{}).Name() && len(t.Missing()) == 0 {
			names = append(names, t.Name)
		}
	}
	slices.Reverse(names)
	return names
}

// Targets lists the targets whose programs run on the named device of this machine, best first; of "auto" those of all devices that it tries, in its order.
func Targets(device string) ([]string, error) {
	if err := CheckDevice(device); err != nil {
		return nil, err
	}
	var targets []string
	for _, d := range devices {
		if device == d.Name() || device == "auto" && d.auto {
			targets = append(targets, d.targets()...)
		}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("device %s: this machine has none that runs a target of plans; 'llmc targets' lists them", device)
	}
	return targets, nil
}
