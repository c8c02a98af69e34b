package engine

// persistentWire is a Persistent inside the file.
type (
	persistentWire struct {
		Entry       string     `msgpack:"entry"`
		Threads     int64      `msgpack:"threads"`
		Shared      int64      `msgpack:"shared,omitempty"`
		Tokens      int64      `msgpack:"tokens"`
		PerSequence int64      `msgpack:"per_sequence,omitempty"`
		Slots       int64      `msgpack:"slots"`
		Bodies      []string   `msgpack:"bodies"`
		Launches    int64      `msgpack:"launches"`
		Tasks       []taskWire `msgpack:"tasks"`
	}
	taskWire struct {
		//lint:ignore U1000 the library looks for it
		_msgpack struct{} `msgpack:",as_array"`
		Launch   int64
		After    []int64
	}
)

func persistentToWire(list []Persistent) []persistentWire {
	var out []persistentWire
	for _, n := range list {
		w := persistentWire{Entry: n.Entry, Threads: int64(n.Threads), Shared: int64(n.Shared), Tokens: n.Tokens, PerSequence: n.PerSequence,
			Slots: int64(n.ArgumentSlots), Bodies: n.Bodies, Launches: int64(n.Launches)}
		for _, t := range n.Tasks {
			w.Tasks = append(w.Tasks, taskWire{Launch: int64(t.Launch), After: convert[int64](t.After)})
		}
		out = append(out, w)
	}
	return out
}

// persistentFromWire returns values as they are in the file, still to be validated.
func persistentFromWire(list []persistentWire) []Persistent {
	var out []Persistent
	for _, w := range list {
		n := Persistent{Entry: w.Entry, Threads: int(w.Threads), Shared: int(w.Shared), Tokens: w.Tokens, PerSequence: w.PerSequence,
			ArgumentSlots: int(w.Slots), Bodies: w.Bodies, Launches: int(w.Launches)}
		for _, t := range w.Tasks {
			n.Tasks = append(n.Tasks, Task{Launch: int(t.Launch), After: convert[int](t.After)})
		}
		out = append(out, n)
	}
	return out
}

// convert never returns nil, which the format does not have.
func convert[To, From int | int64](list []From) []To {
	out := make([]To, 0, len(list))
	for _, v := range list {
		out = append(out, To(v))
	}
	return out
}
