package runtime

import (
	"testing"

	"llmc/engine"
)

// An adapter has as many requests running as had a part in the last step, and the others wait.
func TestAdapterLoad(t *testing.T) {
	a, b := &Adapter{}, &Adapter{}
	a.users.Store(3)
	b.users.Store(1)
	table := adapterTable{places: []*Adapter{nil, a, nil, b}}
	for _, c := range []struct {
		step *engine.Step
		want [4]int // running and waiting of both
	}{
		{nil, [4]int{0, 3, 0, 1}},
		{&engine.Step{Adapters: []int32{1, 0, 1, 3}}, [4]int{2, 1, 1, 0}},
		{&engine.Step{}, [4]int{0, 3, 0, 1}},
	} {
		table.count(c.step)
		var got [4]int
		got[0], got[1] = a.Load()
		got[2], got[3] = b.Load()
		if got != c.want {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}
