package gpu

import (
	"fmt"

	"llmc/engine"
	"llmc/runtime/device/limits"
)

// Range is memory that is wanted.
type Range struct {
	Name  string
	Bytes int64
}

// RangeAlign is that of ranges which are taken together, in bytes.
const RangeAlign = 256

// RangeBytes is what ranges take that lie one behind the other.
func RangeBytes(ranges []Range) int64 {
	total := int64(0)
	for _, r := range ranges {
		total += (r.Bytes + RangeAlign - 1) &^ (RangeAlign - 1)
	}
	return total
}

// allocator gives memory for one thing. What takes memory is asked twice: a sketch notes what it wants, a supply hands it out.
type allocator interface {
	Alloc(name string, bytes int64) (Memory, error)
}

// sketch is an allocator that has nothing: it keeps the ranges that are asked for.
type sketch struct{ ranges []Range }

// Alloc implements allocator.
func (s *sketch) Alloc(name string, bytes int64) (Memory, error) {
	s.ranges = append(s.ranges, Range{name, bytes})
	return nowhere{}, nil
}

// nowhere is memory of a sketch.
type nowhere struct{}

func (nowhere) Addr() uint64                 { return 0 }
func (nowhere) Write(int64, []byte) error    { return nil }
func (nowhere) Read(_ int64, _ []byte) error { return nil }

// supply is an allocator that hands out the ranges of a sketch in their order.
type supply struct {
	ranges []Range
	memory []Memory
}

// Alloc implements allocator.
func (s *supply) Alloc(name string, bytes int64) (Memory, error) {
	if want := (Range{name, bytes}); len(s.ranges) == 0 || s.ranges[0] != want {
		return nil, fmt.Errorf("memory for %s, %d bytes, is not what was planned", name, bytes)
	}
	mem := s.memory[0]
	s.ranges, s.memory = s.ranges[1:], s.memory[1:]
	return mem, nil
}

// defaultUtilization is the part of the free memory that is planned for. What is left takes code, recordings of steps and what the driver wants.
const defaultUtilization = 0.9

// MemoryPlan is what a program takes of a card at some settings, to the byte and before anything is taken: weights in one piece, activations and
// arrays in another, KV pages in a third.
type MemoryPlan struct {
	engine.MemoryUse
	Limits    limits.Limits
	PageBytes int64   // of a page of KV
	work      []Range // activations and arrays
}

// PlanMemory plans for the programs of a plan's functions on a card with so much free memory. Without KVBytes the KV pages take what is left of the part of it that may be
// used, at most what all sequences need at full context. The error says in one line what does not fit.
func PlanMemory(plan *engine.Plan, programs []*engine.Program, card Card, settings engine.Settings) (*MemoryPlan, error) {
	model := Model{plan: plan}
	model.setFunctions(programs)
	setPageSize(&settings, model.program)
	kv, err := newPool(model.program, settings.PageSize)
	if err != nil {
		return nil, err
	}
	info := plan.Info()
	m := &MemoryPlan{MemoryUse: engine.MemoryUse{Device: card.Name, Free: card.Memory}, PageBytes: kv.pageBytes}
	if m.Weights, err = WeightBytes(plan, programs); err != nil {
		return nil, err
	}
	budget, err := m.budget(settings)
	if err != nil {
		return nil, err
	}
	request := limits.Request{Settings: settings, Info: &info, Adapters: len(model.program.Adapted) > 0, Whole: model.wholeSequences(), Texts: model.program.Encodes(), TokenBytes: kv.tokenBytes(settings.PageSize), Threads: 1}
	if m.Limits, err = request.Fill(); err != nil { // all but the number of pages, of which nothing else depends
		return nil, err
	}
	if m.Limits.PageSize%16 != 0 {
		return nil, fmt.Errorf("page size is %d: must be a multiple of 16", m.Limits.PageSize)
	}
	if err := m.planWork(&model, kv); err != nil {
		return nil, err
	}
	request.KVMemory = max(budget-m.Weights-m.Activations-m.Arrays-m.Adapters, 0)
	if m.Limits, err = request.Fill(); err != nil {
		return nil, err
	}
	m.KV = kv.pageBytes * int64(m.Limits.Pages)
	m.Limits.KVBytes = m.KV
	if m.Total() > budget {
		return nil, m.tooMuch(budget)
	}
	return m, nil
}

func setPageSize(s *engine.Settings, program *engine.Program) {
	if s.PageSize == 0 {
		s.PageSize = program.DefaultPageSize()
	}
}

// budget is what may be planned for. Plans that are loaded later have their weights, and as much beside them.
func (m *MemoryPlan) budget(s engine.Settings) (int64, error) {
	part := s.MemoryUtilization
	switch {
	case !(part >= 0 && part <= 1):
		return 0, fmt.Errorf("gpu-memory-utilization is %v: must be above 0 and at most 1", part)
	case s.KVBytes > 0:
		return m.Free, nil // what is wanted is known: only whether it fits is asked
	case part == 0:
		part = defaultUtilization
	}
	usable := int64(part * float64(m.Free))
	if s.LaterPlans == 0 {
		return usable, nil
	}
	return m.Weights + (usable-m.Weights-s.LaterBytes)/int64(1+s.LaterPlans), nil
}

// planWork notes what activations, arrays and adapters take of a model that has none of them.
func (m *MemoryPlan) planWork(model *Model, kv *pool) error {
	list, slots := sketch{}, 0
	model.pool, model.limits = kv, m.Limits
	if err := model.takeMemory(&list); err != nil {
		return err
	}
	for _, f := range model.functions {
		slots = max(slots, len(f.program.Slots))
	}
	m.work = list.ranges
	adapters := len(m.work) - model.adapters.ranges
	m.Activations, m.Arrays, m.Adapters = RangeBytes(m.work[:slots]), RangeBytes(m.work[slots:adapters]), RangeBytes(m.work[adapters:])
	return nil
}

func (m *MemoryPlan) tooMuch(budget int64) error {
	adapters, less := "", ""
	if m.Adapters > 0 {
		adapters, less = fmt.Sprintf("%.2f GiB for %d adapters of rank %d, ", gib(m.Adapters), m.Limits.MaxAdapters, m.Limits.AdapterRank), "--max-loras, --max-lora-rank, "
	}
	return fmt.Errorf("%w: %s: %.2f GiB for weights, %.2f GiB for activations and arrays, %s%.2f GiB for %d KV pages, of %.2f GiB that may be taken and %.2f GiB that are free; "+
		"give less %s--kv-memory, --max-batch or --max-step-tokens, more --gpu-memory-utilization, or build with a smaller --quant", engine.ErrDeviceMemory, m.Device,
		gib(m.Weights), gib(m.Activations+m.Arrays), adapters, gib(m.KV), m.Limits.Pages, gib(budget), gib(m.Free), less)
}

// takeWork takes what was planned for activations and arrays.
func (m *Model) takeWork() error {
	memory, err := m.driver.Alloc("activations and arrays", m.taken.work)
	if err != nil {
		return err
	}
	if err := m.takeMemory(&supply{m.taken.work, memory}); err != nil {
		return err
	}
	if err := m.takeFlights(); err != nil {
		return err
	}
	return m.takeBlocks()
}

// takePool takes the KV pages.
func (m *Model) takePool() error {
	memory, err := m.driver.Alloc("KV pages", []Range{{"KV pages", m.taken.KV}})
	if err != nil {
		return err
	}
	m.pool.mem = memory[0]
	return nil
}

// Memory implements engine.MemoryReporter.
func (m *Model) Memory() engine.MemoryUse { return m.taken.MemoryUse }

var _ engine.MemoryReporter = (*Model)(nil)
