package runtime

import (
	"fmt"
	"slices"
	"strings"

	"llmc/engine"
	"llmc/internal/tokenizer"
	"llmc/runtime/device/cpu"
	"llmc/runtime/device/emu"
)

// devices lists what --device may name, in the order in which "auto" tries them. What is only for testing has to be named.
var devices = []struct {
	engine.Device
	auto bool
}{
	{cpu.Device{}, true},
	{emu.Device{}, false},
}

// laterDevices are names that --device will take one day.
var laterDevices = []string{"cuda"}

// DeviceNames are the names that Load takes.
func DeviceNames() []string {
	names := []string{"auto"}
	for _, d := range devices {
		names = append(names, d.Name())
	}
	return names
}

// CheckDevice tells whether Load takes a name of a device.
func CheckDevice(name string) error {
	names := DeviceNames()
	known := strings.Join(names, ", ")
	switch {
	case slices.Contains(names, name):
		return nil
	case slices.Contains(laterDevices, name):
		return fmt.Errorf("device %q is not supported yet; there are %s", name, known)
	}
	return fmt.Errorf("unknown device %q; there are %s", name, known)
}

// Loaded is a plan on a device.
type Loaded struct {
	Plan  *engine.Plan
	Info  engine.ModelInfo
	Model engine.Model
}

// Load opens the plan at path and loads it onto the named device; "auto" takes the first that can run it.
func Load(path, device string, settings engine.Settings) (*Loaded, error) {
	if err := CheckDevice(device); err != nil {
		return nil, err
	}
	plan, err := engine.Open(path)
	if err != nil {
		return nil, err
	}
	model, err := loadModel(plan, device, settings)
	if err != nil {
		plan.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Loaded{Plan: plan, Info: plan.Info(), Model: model}, nil
}

func loadModel(plan *engine.Plan, device string, settings engine.Settings) (engine.Model, error) {
	var failures []string
	for _, d := range devices {
		if device != d.Name() && !(device == "auto" && d.auto) {
			continue
		}
		model, err := d.Load(plan, settings)
		if err == nil {
			return model, nil
		}
		failures = append(failures, fmt.Sprintf("device %s: %v", d.Name(), err))
	}
	return nil, fmt.Errorf("%s", strings.Join(failures, "; "))
}

// Traffic returns what a decode step reads; zeros where the device cannot tell.
func (l *Loaded) Traffic() (engine.Traffic, error) {
	if r, ok := l.Model.(engine.TrafficReporter); ok {
		return r.Traffic()
	}
	return engine.Traffic{}, nil
}

// Close releases the device's memory and the file.
func (l *Loaded) Close() error {
	err := l.Model.Close()
	if closeErr := l.Plan.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Tokenizer returns the plan's tokenizer.
func (l *Loaded) Tokenizer() (*tokenizer.Tokenizer, error) { return PlanTokenizer(l.Plan) }

// PlanTokenizer returns the tokenizer that a plan holds.
func PlanTokenizer(plan *engine.Plan) (*tokenizer.Tokenizer, error) {
	data, err := plan.Section(engine.KindTokenizer, "")
	if err != nil {
		return nil, fmt.Errorf("%s: the plan has no tokenizer: %w", plan.Path(), err)
	}
	tok, err := tokenizer.Unmarshal(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", plan.Path(), err)
	}
	return tok, nil
}
