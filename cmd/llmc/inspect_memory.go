package main

import (
	"errors"
	"fmt"
	"io"

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
	if err != nil || t.Device != "cuda" {
		return dump.NewMemory(plan, program, s)
	}
	programs, err := plan.Programs(program.Target)
	if err != nil {
		return nil, err
	}
	card := gpu.Card{Name: fmt.Sprintf("a GPU of target %s", t.Name), Memory: t.Memory}
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
