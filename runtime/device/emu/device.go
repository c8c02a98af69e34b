package emu

import (
	"context"
	"fmt"
	"time"

	"llmc/engine"
	"llmc/runtime/device/gpu"
)

// Device runs GPU plans without a GPU: slowly, and strictly. Options say how, Card what it passes for: without one, the newest GPU whose
// instructions the emulator has.
type Device struct {
	Options Options
	Card    gpu.Card
	CTAs    int  // of a persistent entry; 0: 4
	Pad     bool // every step to the size of its bucket, as drivers that run graphs want it
	// Counted, if given, is told what each launch of an entry did.
	Counted func(entry string, grid [3]uint32, c *Counts)
	// Machines are those of a pipeline, of which this is one; nil: there are no others.
	Machines *gpu.Machines
}

// Name returns "emu".
func (Device) Name() string { return "emu" }

// Load implements engine.Device.
func (d Device) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	d.Options.Workers = settings.Threads
	d.describe(plan)
	d.limitPages(plan, &settings)
	if settings.Cards > 1 || settings.Stages > 1 {
		return d.loadCards(plan, settings)
	}
	model, err := gpu.Load(plan, &driver{options: d.Options, card: d.Card, ctas: d.CTAs, memory: NewMemory(), counted: d.Counted}, settings)
	if err != nil {
		return nil, err
	}
	if d.Pad {
		model.PadSteps()
	}
	return model, nil
}

// loadCards loads a plan that several cards share.
func (d Device) loadCards(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	model, err := gpu.LoadCards(plan, d.drivers(settings), settings, d.Machines)
	if err != nil {
		return nil, err
	}
	if d.Pad {
		model.PadSteps()
	}
	return model, nil
}

// drivers are those of the cards that this machine has of a model.
func (d Device) drivers(settings engine.Settings) (drivers []gpu.Driver) {
	for _, memory := range NewCards(d.Machines.DriversHere(settings)) {
		drivers = append(drivers, &driver{options: d.Options, card: d.Card, ctas: d.CTAs, memory: memory, counted: d.Counted})
	}
	return drivers
}

// Follow is the life of a machine that is not the first; see gpu.Follow.
func (d Device) Follow(ctx context.Context, plan *engine.Plan) error {
	d.describe(plan)
	return gpu.Follow(ctx, plan, d.Machines, func(settings engine.Settings) ([]gpu.Driver, error) {
		d.Options.Workers = settings.Threads
		return d.drivers(settings), nil
	})
}

// describe makes the card one with room for a plan's weights, which stay where the file is mapped, where nothing is said of it.
func (d *Device) describe(plan *engine.Plan) {
	if d.Card.Capability != 0 {
		return
	}
	d.Card = ownCard()
	for _, w := range plan.Weights() {
		d.Card.Memory += w.Bytes
	}
}

// limitPages keeps KV pages, which are the machine's memory, small where the settings leave them open.
func (d *Device) limitPages(plan *engine.Plan, s *engine.Settings) {
	if s.MemoryUtilization != 0 || s.KVBytes != 0 {
		return
	}
	most := int64(besideWeights)
	for _, w := range plan.Weights() {
		most += w.Bytes
	}
	s.MemoryUtilization = min(0.9, float64(most)/float64(d.Card.Memory))
}

const (
	// besideWeights is what activations and KV pages take together at most where the settings leave it open.
	besideWeights = 1 << 30
	// NewestCapability is that of the newest GPU whose instructions the emulator has.
	NewestCapability = 90
	// newestDriver stands for the present one.
	newestDriver engine.CUDAVersion = 13000
	// emulatedMemory is what the emulated card has beside weights; it takes of the machine's memory what is in use.
	emulatedMemory = 4 << 30
)

// ownCard is what the emulator passes for unless told otherwise.
func ownCard() gpu.Card {
	return gpu.Card{Name: "the emulator", Capability: NewestCapability, Driver: newestDriver, Memory: emulatedMemory, SharedMemory: maxShared}
}

// Open returns the emulator as a driver, for kernels alone.
func Open(options Options) gpu.Driver {
	return &driver{options: options, card: ownCard(), memory: NewMemory()}
}

// Impersonate describes the card of a row of engine.Targets with a driver of some CUDA version, such as 12040.
func Impersonate(target string, cuda engine.CUDAVersion) (gpu.Card, error) {
	t, err := engine.FindTarget(target)
	if err == nil && t.Device != "cuda" {
		err = fmt.Errorf("target %s is not a GPU", target)
	}
	return gpu.Card{Name: "emulated " + t.Name, Capability: t.SM, Driver: cuda, Memory: t.Memory, SharedMemory: t.SharedMemory}, err
}

// driver is the emulated card.
type driver struct {
	gpu.HostMemory
	options Options
	card    gpu.Card
	ctas    int
	memory  *Memory
	stamps  []time.Time // by number
	counted func(entry string, grid [3]uint32, c *Counts)
	signals signals
}

// Card implements gpu.Driver.
func (d *driver) Card() gpu.Card { return d.card }
func (*driver) Close() error     { return nil }

// Load implements gpu.Driver: it takes what the card that the emulator passes for would take.
func (d *driver) Load(ptx string) (gpu.Code, error) {
	m, err := recent.load(ptx)
	if err != nil {
		return nil, err
	}
	if err := CheckTarget(m.Target(), fmt.Sprintf("sm%d", d.card.Capability)); err != nil {
		return nil, err
	}
	return code{m}, nil
}

type code struct{ *Module }

// Entry implements gpu.Code.
func (c code) Entry(name string) (gpu.Kernel, error) { return c.Kernel(name) }

// Stamp implements gpu.Timer, by the clock of the machine that emulates.
func (d *driver) Stamp(n int) error {
	for len(d.stamps) <= n {
		d.stamps = append(d.stamps, time.Time{})
	}
	d.stamps[n] = time.Now()
	return nil
}

// Seconds implements gpu.Timer.
func (d *driver) Seconds(from, to int) (float64, error) {
	return d.stamps[to].Sub(d.stamps[from]).Seconds(), nil
}

// Alloc implements gpu.Driver. Ranges are buffers of their own, so that nothing reaches from one into the next.
func (d *driver) Alloc(_ string, ranges []gpu.Range) ([]gpu.Memory, error) {
	var list []gpu.Memory
	for _, r := range ranges {
		b, err := d.memory.Alloc(r.Name, int(r.Bytes))
		if err != nil {
			return nil, err
		}
		list = append(list, memory{b})
	}
	return list, nil
}

// Constants implements gpu.Driver: the data is used where it lies, if it lies in one piece.
func (d *driver) Constants(list []gpu.Constant) (gpu.Upload, error) {
	var u upload
	for _, c := range list {
		data := c.Data
		if data == nil {
			data = make([]byte, c.Bytes)
			if err := c.Read(data, 0); err != nil {
				return nil, err
			}
		}
		b, err := d.memory.Wrap(c.Name, data, true)
		if err != nil {
			return nil, err
		}
		u = append(u, b)
	}
	return u, nil
}

// upload is done when it begins.
type upload []*Buffer

// Addr implements gpu.Upload.
func (u upload) Addr(i int) uint64 { return u[i].Addr() }

// Wait implements gpu.Upload.
func (upload) Wait() error { return nil }

// Launch implements gpu.Driver.
func (d *driver) Launch(l *gpu.Launch) error {
	config := Config{Grid: l.Grid, Block: [3]uint32{l.Threads, 1, 1}, Shared: int(l.Shared), Args: l.Args, Early: l.Early}
	kernel := l.Kernel.(*Kernel)
	counts, err := kernel.Launch(context.Background(), d.memory, config, d.options)
	if err == nil && d.counted != nil {
		d.counted(kernel.Name(), l.Grid, counts)
	}
	return err
}

// defaultTogether is how many CTAs of a persistent entry run where nobody says: the fewer, the less time goes into waiting.
const defaultTogether = 4

// Resident implements gpu.Cooperator: all CTAs of a launch take turns, as far as memory goes.
func (d *driver) Resident(gpu.Kernel, uint32, uint32) (int, error) {
	if d.ctas > 0 {
		return d.ctas, nil
	}
	return defaultTogether, nil
}

// memory is a buffer as gpu sees it.
type memory struct{ *Buffer }

// Write implements gpu.Memory.
func (m memory) Write(offset int64, data []byte) error {
	if offset < 0 || offset+int64(len(data)) > int64(len(m.data)) {
		return fmt.Errorf("%d bytes at %d of buffer %s, which has %d", len(data), offset, m.name, len(m.data))
	}
	copy(m.data[offset:], data)
	return nil
}

// Read implements gpu.Memory.
func (m memory) Read(offset int64, data []byte) error {
	if offset < 0 || offset+int64(len(data)) > int64(len(m.data)) {
		return fmt.Errorf("%d bytes at %d of buffer %s, which has %d", len(data), offset, m.name, len(m.data))
	}
	copy(data, m.data[offset:])
	return nil
}
