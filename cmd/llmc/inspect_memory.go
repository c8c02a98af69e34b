package main

import (
	"errors"
	"fmt"
	"io"
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
	memory, err := newMemory(plan, program, f.settings)
	if err != nil {
		return err
	}
	if f.json {
		return cli.PrintJSON(w, memory)
	}
	return memory.WriteText(w)
}

// newMemory reports what a program takes of its device: of a GPU what its runtime plans, the same numbers by the same code.
func newMemory(plan *engine.Plan, program *engine.Program, s dump.MemorySettings) (*dump.Memory, error) {
	t, err := engine.FindTarget(program.Target)
	if err == nil && t.Device != "cuda" && s.Cards > 1 {
		return nil, fmt.Errorf("--tp %d is of GPUs, and target %s is none: choose one with --target", s.Cards, t.Name)
	}
	if err != nil || t.Device != "cuda" {
		return dump.NewMemory(plan, program, s)
	}
	if s.Cards > 1 && !slices.Contains(plan.Cards(program.Target), s.Cards) {
		return nil, fmt.Errorf("%s: target %s is not built for %d GPUs together: build it with llmc build --tp %d", plan.Path(), program.Target, s.Cards, s.Cards)
	}
	programs, err := plan.CardsPrograms(program.Target, s.Cards)
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
