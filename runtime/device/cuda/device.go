package cuda

import (
	"context"
	"errors"
	"fmt"
	"time"

	"llmc/engine"
	"llmc/runtime/device/cuda/jit"
	"llmc/runtime/device/gpu"
)

// Device is the first NVIDIA GPU that the driver shows, or as many as the settings say; CUDA_VISIBLE_DEVICES chooses others.
type Device struct {
	// Machines are those of a pipeline, of which this is one; nil: there are no others.
	Machines *gpu.Machines
}

// Name returns "cuda".
func (Device) Name() string { return "cuda" }

// Load implements engine.Device.
func (d Device) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	if err := keepCode(settings); err != nil {
		return nil, err
	}
	if settings.Cards > 1 || settings.Stages > 1 {
		return d.loadCards(plan, settings)
	}
	driver, err := open()
	if err != nil {
		return nil, err
	}
	model, err := gpu.Load(plan, driver, settings)
	if err != nil {
		return nil, err // without a model that is not nil
	}
	if err := model.ChoosePersistent(time.Now); err != nil {
		return nil, errors.Join(err, model.Close())
	}
	return model, nil
}

// keepCode finds a place for code that the driver compiles, before it starts.
func keepCode(settings engine.Settings) error {
	if err := jit.Keep(settings.NoCodeCache); err != nil {
		return fmt.Errorf("a place for compiled code: %w; %s names another directory, or is \"%s\"", err, jit.Environment, jit.Off)
	}
	return nil
}

// loadCards has the first GPUs share a model.
func (d Device) loadCards(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	drivers, err := d.drivers(settings)
	if err != nil {
		d.Machines.Fail(err)
		return nil, err
	}
	model, err := gpu.LoadCards(plan, drivers, settings, d.Machines)
	if err != nil {
		return nil, err // without a model that is not nil
	}
	return model, nil
}

// drivers are those of the cards that this machine has of a model.
func (d Device) drivers(settings engine.Settings) ([]gpu.Driver, error) {
	cards := max(settings.Cards, 1)
	return openCards(cards, d.Machines.DriversHere(settings)/cards)
}

// Follow is the life of a machine that is not the first; see gpu.Follow.
func (d Device) Follow(ctx context.Context, plan *engine.Plan) error {
	return gpu.Follow(ctx, plan, d.Machines, func(settings engine.Settings) ([]gpu.Driver, error) {
		if err := keepCode(settings); err != nil {
			return nil, err
		}
		return d.drivers(settings)
	})
}

// Open takes the GPU for kernels alone.
func Open() (gpu.Driver, error) { return open() }

// Card describes the GPU.
func (Device) Card() (gpu.Card, error) {
	driver, err := open()
	if err != nil {
		return gpu.Card{}, err
	}
	return driver.Card(), driver.Close()
}

// ErrNotBuilt is what every use of the device comes to in a build without tag cuda.
var ErrNotBuilt error = &absent{"this build has no CUDA support; `make cuda` builds bin/llmrun-cuda and bin/llmc-cuda, which have it, with gcc alone"}

// absent says why there is no GPU. It is an engine.ErrNoDevice.
type absent struct{ text string }

func (e *absent) Error() string { return e.text }

// Is implements errors.Is.
func (*absent) Is(target error) bool { return target == engine.ErrNoDevice }
