package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"llmc/engine"
	"llmc/internal/tokenizer"
	"llmc/runtime/device/cpu"
	"llmc/runtime/device/cuda"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
)

// devices lists what --device may name, in the order in which "auto" tries them. What is only for testing has to be named.
var devices = []struct {
	engine.Device
	auto    bool
	targets func() []string // whose programs it runs here, best first
}{
	{cuda.Device{}, true, cardTargets},
	{cpu.Device{}, true, processorTargets},
	{emu.Device{}, false, func() []string { return gpu.Targets(emu.NewestCapability) }},
}

// DeviceNames are the names that Load takes.
func DeviceNames() []string {
	names := []string{"auto"}
	for _, d := range devices {
		names = append(names, d.Name())
	}
	return names
}

// CheckDevice tells whether Load takes a name of a device. A device that this build has no code for is refused before any plan is looked at.
func CheckDevice(name string) error {
	if names := DeviceNames(); !slices.Contains(names, name) {
		return fmt.Errorf("unknown device %q; there are %s", name, strings.Join(names, ", "))
	}
	if name == (cuda.Device{}).Name() && !cuda.Built {
		return fmt.Errorf("device %q: %w", name, cuda.ErrNotBuilt)
	}
	return nil
}

// Loaded is a plan on a device.
type Loaded struct {
	Plan   *engine.Plan
	Info   engine.ModelInfo
	Model  engine.Model
	Device string // that it is on
	// Notes say why "auto" passed over devices that are there.
	Notes []string
}

// Load opens the plan at path and loads it onto the named device; "auto" takes the first that can run it.
func Load(path, device string, settings engine.Settings) (*Loaded, error) {
	if err := CheckDevice(device); err != nil {
		return nil, err
	}
	return load(path, func(l *Loaded) error { return l.loadModel(device, settings) })
}

// LoadOn is Load onto a device that is not in the table, such as one rank of several.
func LoadOn(path string, device engine.Device, settings engine.Settings) (*Loaded, error) {
	return load(path, func(l *Loaded) (err error) {
		l.Device = device.Name()
		l.Model, err = device.Load(l.Plan, settings)
		return err
	})
}

func load(path string, onto func(*Loaded) error) (*Loaded, error) {
	plan, err := engine.Open(path)
	if err != nil {
		return nil, err
	}
	loaded := &Loaded{Plan: plan, Info: plan.Info()}
	if loaded.Info.Adapter != nil {
		plan.Close()
		return nil, fmt.Errorf("%s: is an adapter of plan %s: give it with --adapter beside that", path, loaded.Info.Adapter.Base)
	}
	if err := onto(loaded); err != nil {
		plan.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return loaded, nil
}

func (l *Loaded) loadModel(device string, settings engine.Settings) error {
	var failures []string
	for _, d := range devices {
		if device != d.Name() && !(device == "auto" && d.auto) {
			continue
		}
		model, err := d.Load(l.Plan, settings)
		if err == nil {
			l.Model, l.Device = model, d.Name()
			return nil
		}
		failure := fmt.Sprintf("device %s: %v", d.Name(), err)
		failures = append(failures, failure)
		if !errors.Is(err, engine.ErrNoDevice) {
			l.Notes = append(l.Notes, failure)
		}
	}
	return errors.New(strings.Join(failures, "; "))
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
