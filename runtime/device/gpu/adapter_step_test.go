package gpu

import (
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/engine"
	"llmc/runtime/device/limits"
)

// TestAdapterItems wants the items of random steps, padded or not, to have every row with an adapter once, rows of one adapter alone, 16 at most, and no more
// items than the arrays have room for.
func TestAdapterItems(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		l := &limits.Limits{Settings: engine.Settings{MaxStepTokens: 80, MaxSequences: 1 + random.IntN(12), MaxRows: 12, MaxAdapters: 3}}
		a := &adapters{products: []*adapted{nil}}
		a.plan(&arrays{}, l)
		step := &engine.Step{SeqStart: []int32{0}}
		var want []int32
		for range 1 + random.IntN(l.MaxSequences) {
			n, place := 1+random.IntN(min(40, l.MaxStepTokens/l.MaxSequences)), int32(random.IntN(4))
			for range n {
				step.IDs, want = append(step.IDs, 1), append(want, place)
			}
			step.Adapters, step.Context, step.PageStart = append(step.Adapters, place), append(step.Context, int32(n)), append(step.PageStart, 0)
			step.SeqStart = append(step.SeqStart, int32(step.T()))
			step.Rows = append(step.Rows, engine.Row{Token: int32(step.T() - 1)})
		}
		step.PageStart = append(step.PageStart, 0)
		if random.IntN(2) == 0 {
			step.Pad(min(l.MaxStepTokens, step.T()+random.IntN(9)), l.MaxSequences, min(l.MaxRows, len(step.Rows)+1))
		}
		want = append(want, make([]int32, step.T()-len(want))...)
		a.begin(step)
		if a.now != slices.ContainsFunc(want, func(p int32) bool { return p > 0 }) {
			t.Fatalf("now is %v for %v", a.now, want)
		}
		var ofRow []int32
		for _, r := range step.Rows {
			ofRow = append(ofRow, want[r.Token])
		}
		for i, want := range [][]int32{want, ofRow} {
			checkItems(t, &a.lists[i], a.now, want)
		}
	}
}

func checkItems(t *testing.T, list *rowPlaces, now bool, want []int32) {
	t.Helper()
	got := make([]int32, len(want))
	for item := range slices.Chunk(list.items, itemInts) {
		place, first, count := item[0], item[1], item[2]
		if count < 1 || count > engine.AdapterItemRows || place == 0 {
			t.Fatalf("item %v", item)
		}
		for row := first; row < first+count; row++ {
			if got[row] != 0 {
				t.Fatalf("two items have row %d", row)
			}
			got[row] = place
		}
	}
	if now && (!slices.Equal(got, want) || !slices.Equal(list.places, want)) {
		t.Fatalf("items are of %v, want %v", got, want)
	}
	for _, place := range want {
		if now && place > 0 != slices.Contains(list.used, place) {
			t.Fatalf("%v are used, place %d is asked for", list.used, place)
		}
	}
	if len(list.items) > list.room {
		t.Fatalf("%d words of items, there is room for %d", len(list.items), list.room)
	}
}
