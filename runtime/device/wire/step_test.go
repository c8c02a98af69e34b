package wire

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"

	"llmc/engine"
)

// TestToldSteps wants a step to come out as it went in, and what is cut off, too long or made up to be refused.
func TestToldSteps(t *testing.T) {
	var s, got engine.Step
	s.Reset()
	s.IDs, s.Pages = append(s.IDs, 4, 5, 6), append(s.Pages, 2)
	s.EndSequence(0, 3, 16)
	s.Rows = append(s.Rows, engine.Row{Token: 2})
	s.Soft = append(s.Soft, 1.5, -2)
	s.Source.Add([]int32{7}, 3)
	data := AppendStep(nil, &s)
	for range 2 { // into memory that has had one
		if err := ReadStep(&got, data); err != nil {
			t.Fatal(err)
		}
	}
	for i, list := range stepLists(&s) {
		if other := stepLists(&got)[i]; len(*list)+len(*other) > 0 && !reflect.DeepEqual(*list, *other) {
			t.Errorf("array %d is %v, was %v", i, *other, *list)
		}
	}
	if len(got.Rows) != 1 || got.Rows[0].Token != 2 || !reflect.DeepEqual(got.Soft, s.Soft) {
		t.Errorf("rows %v, soft %v", got.Rows, got.Soft)
	}
	for n := range data {
		if ReadStep(&got, data[:n]) == nil {
			t.Errorf("%d of %d bytes are taken for a step", n, len(data))
		}
	}
	if ReadStep(&got, append(data, 0)) == nil {
		t.Error("a step with something behind it is taken")
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 2000 { // whatever it says, it takes no more memory than it has bytes
		wild := append([]byte(nil), data...)
		at := rng.IntN(len(wild) - 3)
		binary.LittleEndian.PutUint32(wild[at:], rng.Uint32())
		_ = ReadStep(&got, wild)
	}
}
