package runtime

import (
	"context"
	"fmt"

	"llmc/engine"
	"llmc/runtime/device/cuda"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
)

// machineDevice is a device of which cards of several machines can be.
type machineDevice interface {
	engine.Device
	// Follow is the life of a machine that is not the first.
	Follow(ctx context.Context, plan *engine.Plan) error
}

var machineDevices = map[string]func(*gpu.Machines) machineDevice{
	cuda.Device{}.Name(): func(m *gpu.Machines) machineDevice { return cuda.Device{Machines: m} },
	emu.Device{}.Name():  func(m *gpu.Machines) machineDevice { return emu.Device{Machines: m} },
}

// onMachines finds such a device.
func onMachines(device string, machines *gpu.Machines) (machineDevice, error) {
	if err := CheckDevice(device); err != nil {
		return nil, err
	}
	of := machineDevices[device]
	if of == nil {
		return nil, fmt.Errorf("device %s has no cards that several machines share a model with", device)
	}
	return of(machines), nil
}

// LoadMachines is Load onto cards of several machines, of which this is the first.
func LoadMachines(path, device string, machines *gpu.Machines, settings engine.Settings) (*Loaded, error) {
	on, err := onMachines(device, machines)
	if err != nil {
		return nil, err
	}
	loaded, err := LoadOn(path, on, settings)
	if err == nil && machines.Without != "" && device == (cuda.Device{}).Name() {
		loaded.Notes = append(loaded.Notes, "rows go from machine to machine through the hosts' memory: "+machines.Without)
	}
	return loaded, err
}

// Follow is the life of a machine that is not the first; see gpu.Follow.
func Follow(ctx context.Context, plan *engine.Plan, device string, machines *gpu.Machines) error {
	on, err := onMachines(device, machines)
	if err != nil {
		return err
	}
	return on.Follow(ctx, plan)
}
