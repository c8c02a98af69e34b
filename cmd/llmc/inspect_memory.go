package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/internal/cli"
	"llmc/runtime/device/gpu"
)

func (f *inspectFlags) printMemory(w io.Writer, plan *engine.Plan) error {
	target := f.target
	if targets := plan.Targets(plan.Main()); target == "" && len(targets) > 0 {
		target = targets[0]
	}
	program, err := plan.Program(plan.Main(), target)
	if err != nil {
		return err
	}
	f.settings.KVMemory, f.settings.DeviceMemory = int64(f.kvMemory), int64(f.deviceMemory)
	if f.settings.Stages > 1 {
		return f.printStages(w, plan, program)
	}
	memory, err := newMemory(plan, program, f.settings)
	if err != nil {
		return err
	}
	if f.json {
		return cli.PrintJSON(w, memory)
	}
	return memory.WriteText(w)
}

// stageMemory is what each GPU of a stage takes.
type stageMemory struct {
	Stage  int `json:"stage"`
	Layers int `json:"layers"` // of the cache
	*dump.Memory
}

// printStages reports what each GPU of a pipeline's stages takes, all with as many pages as the one with least room has.
func (f *inspectFlags) printStages(w io.Writer, plan *engine.Plan, program *engine.Program) error {
	programs, err := gpuPrograms(plan, program, f.settings)
	if err != nil {
		return err
	}
	stages, err := gpu.Stages(plan, programs, f.settings.Stages)
	if err != nil {
		return fmt.Errorf("%s: %w", plan.Path(), err)
	}
	var list []stageMemory
	pages := int64(math.MaxInt64)
	for _, s := range stages {
		m, err := cardMemory(plan, []*engine.Program{s.Program}, f.settings)
		if err != nil {
			return fmt.Errorf("stage %d: %w", s.Number, err)
		}
		list, pages = append(list, stageMemory{s.Number, layersOf(s.Program), m}), min(pages, m.Pages)
	}
	for i, s := range list {
		m, size := s.Memory, s.Tokens/s.Pages
		m.TotalBytes -= m.KVBytes
		m.KVBytes = m.KVBytes / m.Pages * pages
		m.TotalBytes += m.KVBytes
		m.SetPages(pages, size, (int64(m.MaxContext)+size-1)/size)
		if !f.json {
			if i > 0 {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "stage %d, each of %d GPUs: %d layers of the cache\n", s.Stage, f.settings.Cards, s.Layers)
			if err := m.WriteText(w); err != nil {
				return err
			}
		}
	}
	if f.json {
		return cli.PrintJSON(w, struct {
			Stages []stageMemory `json:"stages"`
		}{list})
	}
	return nil
}

// layersOf counts the layers of all caches.
func layersOf(p *engine.Program) (n int) {
	for _, c := range p.Caches {
		n += c.Layers
	}
	return n
}

// newMemory reports what a program takes of its device: of a GPU what its runtime plans, the same numbers by the same code.
func newMemory(plan *engine.Plan, program *engine.Program, s dump.MemorySettings) (*dump.Memory, error) {
	if t, err := engine.FindTarget(program.Target); s.Cards <= 1 && (err != nil || t.Device != "cuda") {
		return dump.NewMemory(plan, program, s)
	}
	programs, err := gpuPrograms(plan, program, s)
	if err != nil {
		return nil, err
	}
	return cardMemory(plan, programs, s)
}

// gpuPrograms are those of all functions that each of the settings' GPUs runs.
func gpuPrograms(plan *engine.Plan, program *engine.Program, s dump.MemorySettings) ([]*engine.Program, error) {
	t, err := engine.FindTarget(program.Target)
	if err == nil && t.Device != "cuda" {
		flag, n := "tp", s.Cards
		if s.Stages > 1 {
			flag, n = "pp", s.Stages
		}
		return nil, fmt.Errorf("--%s %d is of GPUs, and target %s is none: choose one with --target", flag, n, t.Name)
	}
	if s.Cards > 1 && !slices.Contains(plan.Cards(program.Target), s.Cards) {
		return nil, fmt.Errorf("%s: target %s is not built for %d GPUs together: build it with llmc build --tp %d", plan.Path(), program.Target, s.Cards, s.Cards)
	}
	return plan.CardsPrograms(program.Target, s.Cards)
}

// cardMemory reports what programs take of a card of their target.
func cardMemory(plan *engine.Plan, programs []*engine.Program, s dump.MemorySettings) (*dump.Memory, error) {
	t, err := engine.FindTarget(programs[0].Target)
	if err != nil {
		return nil, err
	}
	card := gpu.Card{Name: fmt.Sprintf("a GPU of target %s", t.Name), Memory: t.Memory}
	if s.Cards > 1 {
		card.Name = fmt.Sprintf("each of %d GPUs of target %s", s.Cards, t.Name)
	}
	if s.DeviceMemory > 0 {
		card.Memory = s.DeviceMemory
	}
	p, err := gpu.PlanMemory(plan, programs, card, engine.Settings{MaxSequences: s.MaxBatch, MaxContext: s.MaxContext, MaxStepTokens: s.StepTokens,
		KVBytes: s.KVMemory, MemoryUtilization: s.Utilization, MaxAdapters: s.MaxAdapters, AdapterRank: s.AdapterRank})
	if err != nil {
		return nil, err
	}
	l := &p.Limits
	m := &dump.Memory{WeightBytes: p.Weights, ActivationBytes: p.Activations, ArrayBytes: p.Arrays, AdapterBytes: p.Adapters, KVBytes: p.KV, TotalBytes: p.Total(), FreeBytes: p.Free,
		KVTokenBytes: p.PageBytes / int64(l.PageSize), MaxBatch: l.MaxSequences, MaxContext: l.MaxContext, StepTokens: l.MaxStepTokens}
	m.SetPages(int64(l.Pages), int64(l.PageSize), int64((l.MaxContext+l.PageSize-1)/l.PageSize))
	return m, nil
}

// defaultMemory reports programs at the default settings; one that its card has no room for as if it had.
func defaultMemory(plan *engine.Plan) func(*engine.Program) (*dump.Memory, error) {
	return func(program *engine.Program) (*dump.Memory, error) {
		m, err := newMemory(plan, program, dump.MemorySettings{})
		if errors.Is(err, engine.ErrDeviceMemory) {
			return dump.NewMemory(plan, program, dump.MemorySettings{})
		}
		return m, err
	}
}
