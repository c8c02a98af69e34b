package runtime

import (
	"reflect"
	"sync"
	"testing"

	"llmc/runtime/sched"
)

// numbered returns figures that are all different, by reflection, so that one that is added and not published is found.
func numbered(from int64) sched.Stats {
	var s sched.Stats
	var number func(v reflect.Value)
	number = func(v reflect.Value) {
		from++
		switch v.Kind() {
		case reflect.Int:
			v.SetInt(from)
		case reflect.Uint64:
			v.SetUint(uint64(from))
		case reflect.Array:
			for i := range v.Len() {
				number(v.Index(i))
			}
		}
	}
	for i := range reflect.ValueOf(s).NumField() {
		number(reflect.ValueOf(&s).Elem().Field(i))
	}
	return s
}

func TestSnapshotHoldsEveryFigure(t *testing.T) {
	var p snapshot
	want := numbered(100)
	p.write(&want)
	if got := p.read(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// What is read is what was written at one moment.
func TestSnapshotIsOfOneMoment(t *testing.T) {
	var p snapshot
	states := [2]sched.Stats{numbered(0), numbered(1000)}
	p.write(&states[0])
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 20000 {
			p.write(&states[i%2])
		}
	})
	for range 20000 {
		if got := p.read(); got != states[0] && got != states[1] {
			t.Fatalf("%+v is neither", got)
		}
	}
	wg.Wait()
}
