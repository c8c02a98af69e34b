package gpu

import (
	"encoding/binary"
	"fmt"

	"llmc/engine"
	"llmc/runtime/comm"
)

// Machines is a process's part in a pipeline whose stages are on several machines, a process and as many stages on each. The first machine serves, and has the last stages: rows are sampled
// where all that requests say of it is known. The others have the stages before, in their order; they run each step that the first tells them, and see of it no more than token ids and places.
type Machines struct {
	Group *comm.Group // a rank for each machine, used by nothing else; it ends with the model
	// Transport is what carries rows: TransportNCCL, or through the hosts' memory what the group has; TransportAuto takes the first that all machines have.
	Transport string
	// Without says why there is no network, where one would have been taken.
	Without  string
	networks [][]byte // what cards of each number in their stages know theirs by; nil: there are none
}

// Values of Machines.Transport that ask for a network. Any other asks for none.
const (
	TransportAuto = "auto"
	TransportNCCL = "nccl"
)

// Commands between the first machine and the others.
const (
	tellLoad  = iota + 1 // settings
	tellPages            // how many KV pages there is room for; the answer is how many all have
	tellReady            // the bytes of a page on the machine
	tellRun              // a step
	tellCopy             // pairs of pages, from and to
	tellRead             // a page; the answer is tellPage, with its bytes
	tellPage
	tellWrite   // a page, and its bytes
	tellNetwork // the answer to tellLoad that asks for it: why there is none, or nothing; then what networks are known by
)

// size is how many machines there are.
func (m *Machines) size() int {
	if m == nil {
		return 1
	}
	return m.Group.Size()
}

// first is the number of the machine's first stage, of so many on each.
func (m *Machines) first(stages int) int {
	if m == nil {
		return 0
	}
	return (m.Group.Rank() + m.size() - 1) % m.size() * stages
}

// neighbour is the machine whose stages are so many machines behind.
func (m *Machines) neighbour(behind int) int {
	return (m.Group.Rank() + behind + m.size()) % m.size()
}

// leads tells whether this process tells others what to do.
func (m *Machines) leads() bool { return m != nil && m.Group.Rank() == 0 }

// DriversHere is how many cards a machine has to have for a pipeline of the settings.
func (m *Machines) DriversHere(s engine.Settings) int {
	return max(s.Cards, 1) * max(s.Stages, 1) / m.size()
}

// tell tells all other machines the same.
func (m *Machines) tell(kind uint32, data []byte) error {
	if !m.leads() {
		return nil
	}
	for r := 1; r < m.size(); r++ {
		if err := m.Group.Send(r, kind, data); err != nil {
			return lostMachine(err)
		}
	}
	return nil
}

func lostMachine(err error) error { return fmt.Errorf("%w: %w", engine.ErrDeviceLost, err) }

// number tells a machine a number.
func (m *Machines) number(rank int, kind uint32, n uint64) error {
	return m.Group.Send(rank, kind, binary.LittleEndian.AppendUint64(nil, n))
}

// hear waits for a number that a machine tells.
func (m *Machines) hear(rank int, kind uint32) (uint64, error) {
	got, data, err := m.Group.Receive(rank, true, nil)
	switch {
	case err != nil:
		return 0, err
	case got != kind || len(data) != 8:
		return 0, m.Group.Fail(fmt.Errorf("machine %d said %d in %d bytes where %d was due", rank, got, len(data), kind))
	}
	return binary.LittleEndian.Uint64(data), nil
}

// least is the least of what the machines say.
func (m *Machines) least(n uint64) (uint64, error) {
	if !m.leads() {
		if err := m.number(0, tellPages, n); err != nil {
			return 0, err
		}
		return m.hear(0, tellPages)
	}
	for r := 1; r < m.size(); r++ {
		other, err := m.hear(r, tellPages)
		if err != nil {
			return 0, err
		}
		n = min(n, other)
	}
	for r := 1; r < m.size(); r++ {
		if err := m.number(r, tellPages, n); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// ready waits until all other machines are, and tells the bytes that each has of a page, those of the first being its own.
func (m *Machines) ready(own int) ([]int, error) {
	bytes := []int{own}
	for r := 1; r < m.size(); r++ {
		n, err := m.hear(r, tellReady)
		if err != nil {
			return nil, err
		}
		if n > comm.MaxCommand {
			return nil, m.Group.Fail(fmt.Errorf("machine %d has %d bytes of a page", r, n))
		}
		bytes = append(bytes, int(n))
	}
	return bytes, nil
}

// Fail ends the work of all machines.
func (m *Machines) Fail(err error) {
	if m != nil {
		_ = m.Group.Fail(err)
	}
}
