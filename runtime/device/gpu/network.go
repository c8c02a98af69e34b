package gpu

import (
	"encoding/json"
	"fmt"
	"time"

	"llmc/engine"
	"llmc/internal/sym"
)

// toLoad is what the first machine tells with tellLoad.
type toLoad struct {
	Settings engine.Settings
	Network  bool // it asks whether there is a network
}

// agree has the other machines load the plan, and all of them use a network, or none.
func (m *Machines) agree(s engine.Settings, drivers []Driver) error {
	switch {
	case m == nil:
		return nil
	case m.leads():
		return m.lead(s, drivers)
	case m.Transport != TransportNCCL:
		return nil
	}
	reason := ""
	if err := networkOf(drivers); err != nil {
		reason = err.Error()
	}
	if err := m.Group.Send(0, tellNetwork, []byte(reason)); err != nil {
		return err
	}
	kind, data, err := m.Group.Receive(0, true, nil)
	if err == nil && kind != tellNetwork {
		err = fmt.Errorf("the first machine said %d where it should name networks", kind)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(data, &m.networks)
}

// lead is agree on the first machine.
func (m *Machines) lead(s engine.Settings, drivers []Driver) error {
	asks := m.Transport == TransportAuto || m.Transport == TransportNCCL
	var reason error
	if asks {
		reason = networkOf(drivers)
	}
	all := asks && reason == nil
	load, err := json.Marshal(toLoad{s, all})
	if err != nil {
		return err
	}
	if err := m.tell(tellLoad, load); err != nil {
		return err
	}
	if all {
		if reason, err = m.others(); err != nil {
			return err
		}
	}
	if reason != nil {
		if m.Without = reason.Error(); m.Transport == TransportNCCL {
			return fmt.Errorf("--rank-transport nccl: %w", reason)
		}
	}
	if !all {
		return nil
	}
	if reason == nil {
		if err := m.newNetworks(drivers[0].(Networked), s.Cards); err != nil {
			return err
		}
	}
	names, err := json.Marshal(m.networks)
	if err != nil {
		return err
	}
	return m.tell(tellNetwork, names)
}

// newNetworks makes up a network for the cards of each number in their stages.
func (m *Machines) newNetworks(d Networked, cards int) error {
	for range cards {
		id, err := d.NewNetwork()
		if err != nil {
			return err
		}
		m.networks = append(m.networks, id)
	}
	return nil
}

// others hears from all other machines whether they have a network, and why one has none.
func (m *Machines) others() (reason, err error) {
	for r := 1; r < m.size(); r++ {
		kind, said, err := m.Group.Receive(r, true, nil)
		switch {
		case err != nil:
			return nil, err
		case kind != tellNetwork:
			return nil, fmt.Errorf("machine %d said %d where it should tell of a network", r, kind)
		case len(said) > 0:
			reason = fmt.Errorf("machine %d: %s", r, said)
		}
	}
	return reason, nil
}

// networkOf tells why drivers have no network; nil: they have.
func networkOf(drivers []Driver) error {
	n, ok := drivers[0].(Networked)
	if !ok {
		return fmt.Errorf("%s has no network of its own", drivers[0].Card().Name)
	}
	return n.Network()
}

// networked tells whether rows go from card to card without the hosts.
func (m *Machines) networked() bool { return m != nil && m.networks != nil }

// lookEvery is how often networks are asked whether they still work.
const lookEvery = 100 * time.Millisecond

// watch ends all machines' work when a network fails, and all waiting for networks when the machines' work has ended.
func (m *Machines) watch(drivers []Driver) {
	if !m.networked() {
		return
	}
	go func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-m.Group.Ended():
				for _, d := range drivers {
					d.(Networked).Leave()
				}
				return
			case <-tick.C:
			}
			for i, d := range drivers {
				if err := d.(Networked).NetworkFailed(); err != nil {
					m.Fail(fmt.Errorf("card %d: %w", i, err))
				}
			}
		}
	}()
}

// patience gives a step that goes through a network as much time as machines have to answer, from now until what it returns is called: on a device nobody else notices that a machine stands still.
func (m *Machines) patience() (end func()) {
	if !m.networked() {
		return func() {}
	}
	limit := m.Group.Timeout()
	timer := time.AfterFunc(limit, func() { m.Fail(fmt.Errorf("a machine stands still: a step has not ended for %v", limit)) })
	return func() { timer.Stop() }
}

// member is a card's part in a network of those cards of all machines that have one number in their stages and hand something on; the zero value has none.
type member struct {
	network    []byte
	rank, size int
}

// join waits for all members.
func (m *Model) join() error {
	if m.stage.member.network == nil {
		return nil
	}
	return m.driver.(Networked).Join(m.stage.member.network, m.stage.member.rank, m.stage.member.size, m.peers.machines.Group.Ended())
}

// wires makes the ways of a machine's cards of one number. Members are numbered in the order of stages: of each machine the card that takes, and the one that gives where that is another.
type wires struct {
	machines *Machines
	block    int // of stages, that the machine has
	each     int // members of a machine
}

// newWires makes the cards that take and give members of their network; nil where there are none.
func newWires(m *Machines, card int, first, last *Model) *wires {
	if !m.networked() {
		return nil
	}
	w := &wires{machines: m, block: m.first(1), each: 1}
	if first != last {
		w.each = 2
	}
	for i, c := range []*Model{first, last}[:w.each] {
		c.stage.member = member{m.networks[card], w.block*w.each + i, m.size() * w.each}
	}
	return w
}

// from is the way to a card from the one that gives of another block.
func (w *wires) from(to *Model, block int, buffers []int) way {
	return &wired{machines: w.machines, model: to, peer: block*w.each + w.each - 1, buffers: buffers}
}

// to is the way from a card to the one that takes of another block.
func (w *wires) to(from *Model, block int, buffers []int) way {
	return &wired{machines: w.machines, model: from, peer: block * w.each, buffers: buffers}
}

// wired is a way through a network, in turn with launches on both sides.
type wired struct {
	machines *Machines
	model    *Model // the card that is here
	peer     int
	buffers  []int
	list     []Moved
}

func (w *wired) lay(env sym.Env) (err error) {
	w.list, err = moved(w.model.function, w.model.function, w.buffers, env, w.list[:0])
	return err
}

// clear implements way: what is launched next waits for what has been sent.
func (*wired) clear() error { return nil }

// give implements way.
func (w *wired) give(env sym.Env) error {
	if err := w.lay(env); err != nil {
		return err
	}
	return w.model.driver.(Networked).SendTo(w.peer, w.list)
}

// take implements way.
func (w *wired) take(env sym.Env) error {
	if err := w.lay(env); err != nil {
		return err
	}
	return w.model.driver.(Networked).ReceiveFrom(w.peer, w.list)
}

// fail implements way.
func (w *wired) fail(err error) {
	if err != nil {
		w.machines.Fail(err)
	}
}
