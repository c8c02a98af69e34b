package cpu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"llmc/engine"
	"llmc/runtime/comm"
	"llmc/runtime/device/limits"
	"llmc/runtime/device/wire"
)

// Follow is the life of a rank that is not the first: it loads the plan as the first says, computes its part of each step, and returns when the first ends, with an error if that was no
// end that was meant. threads are this rank's own; 0: as many as the first has.
func Follow(ctx context.Context, plan *engine.Plan, split *Split, threads int) error {
	if err := follow(ctx, plan, split, threads); !errors.Is(err, comm.ErrClosed) {
		return err
	}
	return nil
}

func follow(ctx context.Context, plan *engine.Plan, split *Split, threads int) error {
	g := split.Group
	stop := context.AfterFunc(ctx, func() { _ = g.Fail(context.Cause(ctx)) })
	defer stop()
	kind, data, err := g.Receive(0, true, nil)
	if err != nil {
		return err
	}
	if kind != tellLoad {
		return g.Fail(fmt.Errorf("the first rank said %d where it should say what to load", kind))
	}
	m, err := follower(plan, split, data, threads)
	if err != nil {
		return errors.Join(err, g.Send(0, tellReady, []byte(err.Error())))
	}
	defer m.Close()
	if err := g.Send(0, tellReady, nil); err != nil {
		return err
	}
	f := following{m: m, out: make([]engine.Sampled, m.settings.MaxRows)}
	for buf := []byte(nil); ; {
		if kind, buf, err = g.Receive(0, true, buf[:0]); err != nil {
			return err
		}
		if err := plan.Guard(func() error { return f.do(kind, buf) }); err != nil {
			return g.Fail(err)
		}
	}
}

// follower loads a plan with the settings of the first rank.
func follower(plan *engine.Plan, split *Split, settings []byte, threads int) (*model, error) {
	filled, err := decodeSettings(settings)
	if err != nil {
		return nil, err
	}
	if threads > 0 {
		filled.Threads = threads
	}
	m, err := Device{Split: split}.begin(plan, filled.Target)
	if err != nil {
		return nil, err
	}
	if err := plan.Guard(func() error {
		if err := m.divide(); err != nil {
			return err
		}
		info := plan.Info()
		m.info, m.settings = &info, filled
		return m.take()
	}); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// following does what the first rank says.
type following struct {
	m    *model
	step engine.Step
	out  []engine.Sampled
}

func (f *following) do(kind uint32, data []byte) error {
	switch kind {
	case tellRun:
		return f.run(data)
	case tellCopy:
		pages, rest, err := wire.TakeInts(nil, data)
		if err != nil || len(pages) != 2 || len(rest) != 0 {
			return errors.New("the first rank told no pages to copy")
		}
		return f.m.kv.copyPage(pages[0], pages[1])
	case tellRead, tellWrite:
		return f.movePage(kind, data)
	}
	return fmt.Errorf("the first rank said %d, which this one does not know", kind)
}

func (f *following) run(data []byte) error {
	if len(data) == 0 || int(data[0]) >= len(f.m.functions) {
		return errors.New("the first rank told no function to run")
	}
	function := f.m.functions[data[0]]
	step := &f.step
	if err := wire.ReadStep(step, data[1:]); err != nil {
		return err
	}
	if err := f.check(function, step); err != nil {
		return err
	}
	return f.m.run(function, step, f.out)
}

// check is what the first rank has checked too: that another process says it proves nothing.
func (f *following) check(function *function, step *engine.Step) error {
	m := f.m
	if function.program.Func != engine.StepFunc {
		if err := m.settings.CheckWhole(step); err != nil {
			return err
		}
		return function.checkRows(step)
	}
	if err := m.settings.Check(step, f.out); err != nil {
		return err
	}
	if m.main.program.Encodes() {
		if err := m.settings.CheckTexts(step); err != nil {
			return err
		}
	}
	return limits.CheckInserted(step, function.program.Func, function.inserts)
}

func encodeSettings(l *limits.Limits) []byte {
	data, err := json.Marshal(l)
	if err != nil {
		panic("cpu: " + err.Error()) // numbers and names
	}
	return data
}

func decodeSettings(data []byte) (limits.Limits, error) {
	var l limits.Limits
	if err := json.Unmarshal(data, &l); err != nil {
		return l, fmt.Errorf("the settings that the first rank told: %w", err)
	}
	checked := limits.Request{Settings: l.Settings, Info: &engine.ModelInfo{Vocab: l.Vocab, MaxContext: l.MaxContext}, TokenBytes: 1, Threads: l.Threads, KVMemory: math.MaxInt64}
	if _, err := checked.Fill(); err != nil {
		return l, fmt.Errorf("the settings that the first rank told: %w", err)
	}
	if min(l.MaxStepTokens, l.MaxSequences, l.MaxRows, l.MaxContext, l.PageSize, l.Threads) < 1 {
		return l, errors.New("the first rank told settings that leave something open")
	}
	if l.Pages < 1 || l.Pages > math.MaxInt32 {
		return l, fmt.Errorf("the first rank told %d KV pages", l.Pages)
	}
	return l, nil
}
