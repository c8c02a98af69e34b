package gpu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"llmc/engine"
	"llmc/runtime/comm"
	"llmc/runtime/device/wire"
)

// Follow is the life of a machine that is not the first: it loads the plan as the first says, on drivers that open gives, has its stages compute each step, and returns when the first ends, with an
// error if that was no end that was meant.
func Follow(ctx context.Context, plan *engine.Plan, machines *Machines, open func(engine.Settings) ([]Driver, error)) error {
	g := machines.Group
	stop := context.AfterFunc(ctx, func() { _ = g.Fail(context.Cause(ctx)) })
	defer stop()
	err := follow(plan, machines, open)
	switch {
	case errors.Is(err, comm.ErrClosed):
		return nil
	case err != nil && !errors.Is(err, comm.ErrBroken):
		return g.Fail(err)
	}
	return err
}

func follow(plan *engine.Plan, machines *Machines, open func(engine.Settings) ([]Driver, error)) error {
	g := machines.Group
	kind, data, err := g.Receive(0, true, nil)
	if err != nil {
		return err
	}
	var load toLoad
	if err := json.Unmarshal(data, &load); err != nil || kind != tellLoad {
		return fmt.Errorf("the first machine said %d where it should say what to load (%v)", kind, err)
	}
	if n := machines.DriversHere(load.Settings); n < 1 || n > engine.MaxCards || load.Settings.Stages%machines.size() != 0 {
		return fmt.Errorf("the first machine told of %d stages of %d cards on %d machines: run the same command on all", load.Settings.Stages, load.Settings.Cards, machines.size())
	}
	if machines.Transport = ""; load.Network {
		machines.Transport = TransportNCCL
	}
	drivers, err := open(load.Settings)
	if err != nil {
		return err
	}
	c, err := LoadCards(plan, drivers, load.Settings, machines)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := machines.number(0, tellReady, uint64(c.PageBytes())); err != nil {
		return err
	}
	f := following{Cards: c, out: make([]engine.Sampled, c.models[0].limits.MaxRows)}
	for buf := []byte(nil); ; {
		if kind, buf, err = g.Receive(0, true, buf[:0]); err != nil {
			return err
		}
		do := commands[kind]
		if do == nil {
			return fmt.Errorf("the first machine said %d, which this one does not know", kind)
		}
		if err := plan.Guard(func() error { return do(&f, buf) }); err != nil {
			return err
		}
	}
}

// following does what the first machine says.
type following struct {
	*Cards
	steps [2]engine.Step // in flight, in turn
	ids   [2][]int32     // what those become that stand for rows of the step before
	told  int
	out   []engine.Sampled // of rows that another machine samples
}

// commands are what it may say once all are ready.
var commands = map[uint32]func(f *following, data []byte) error{tellRun: (*following).run, tellCopy: (*following).copy, tellRead: (*following).read, tellWrite: (*following).write}

// run begins a step, and waits for the one before the last. What another process says is checked as what its own would be.
func (f *following) run(data []byte) (err error) {
	if len(f.models[0].flights) == len(f.steps) {
		if err := f.Wait(); err != nil {
			return err
		}
	}
	step, ids := &f.steps[f.told%2], &f.ids[f.told%2]
	f.told++
	if *ids, data, err = wire.TakeInts((*ids)[:0], data); err != nil {
		return err
	}
	if err := wire.ReadStep(step, data); err != nil {
		return err
	}
	m := f.models[0]
	for _, id := range *ids {
		if id >= int32(m.limits.Vocab) || id < -int32(m.limits.MaxRows*engine.FoundCells) {
			return fmt.Errorf("the first machine told token %d", id)
		}
	}
	if err := m.checkStep(step, f.out, len(*ids)); err != nil {
		return err
	}
	return f.together(func(_ int, m *Model) error {
		m.stage.cells = *ids
		return m.Start(step, f.out)
	})
}

// copy copies pages.
func (f *following) copy(data []byte) error {
	pages, rest, err := wire.TakeInts(nil, data)
	if err != nil || len(rest) != 0 || len(pages)%2 != 0 {
		return errors.New("the first machine told no pages to copy")
	}
	var list []engine.PageCopy
	for ; len(pages) > 0; pages = pages[2:] {
		list = append(list, engine.PageCopy{From: pages[0], To: pages[1]})
	}
	return f.CopyPages(list)
}

// read tells what the machine has of a page.
func (f *following) read(data []byte) error {
	page, rest, err := takePage(data)
	if err != nil || len(rest) > 0 {
		return errNoPage
	}
	part := make([]byte, f.PageBytes())
	if err := f.ReadPage(page, part); err != nil {
		return err
	}
	return f.machines.Group.Send(0, tellPage, part)
}

// write takes the machine's part of a page.
func (f *following) write(data []byte) error {
	page, part, err := takePage(data)
	if err != nil {
		return err
	}
	return f.WritePage(page, part)
}

var errNoPage = errors.New("the first machine told no page to move")

func takePage(data []byte) (page int32, rest []byte, err error) {
	pages, rest, err := wire.TakeInts(nil, data)
	if err != nil || len(pages) != 1 {
		return 0, nil, errNoPage
	}
	return pages[0], rest, nil
}
