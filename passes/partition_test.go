package passes

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"llmc/ir"
	"llmc/ir/interp"
)

// meeting is where machines that are cards of one module exchange values: each waits until all have come.
type meeting struct {
	mu    sync.Mutex
	all   *sync.Cond
	cards int
	came  [][]interp.Tensor // by card, of the exchange that is under way
	count int
	round int
	given [][][]interp.Tensor // of the last two rounds: by value and card
}

func newMeeting(cards int) *meeting {
	m := &meeting{cards: cards, came: make([][]interp.Tensor, cards), given: make([][][]interp.Tensor, 2)}
	m.all = sync.NewCond(&m.mu)
	return m
}

func (m *meeting) exchange(card int, own []interp.Tensor) [][]interp.Tensor {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.came[card] = own
	round := m.round
	if m.count++; m.count == m.cards {
		var given [][]interp.Tensor
		for i := range own {
			var parts []interp.Tensor
			for _, c := range m.came {
				parts = append(parts, c[i])
			}
			given = append(given, parts)
		}
		m.given[round%2], m.count = given, 0
		m.round++
		m.all.Broadcast()
	}
	for m.round == round {
		m.all.Wait()
	}
	return m.given[round%2]
}

// runCards runs a module, on as many machines as it is for, and wants the same results of all.
func (e *evaluation) runCards(m *ir.Module) ([][]float32, error) {
	if m.Cards == 0 {
		return e.runOn(interp.New(m, e.weights), m)
	}
	cards := int(m.Cards)
	results, errs, meet := make([][][]float32, cards), make([]error, cards), newMeeting(cards)
	var group sync.WaitGroup
	for i := range cards {
		machine := interp.New(m, e.weights)
		machine.Card = &interp.Card{Number: i, Exchange: func(own []interp.Tensor) [][]interp.Tensor { return meet.exchange(i, own) }}
		group.Go(func() { results[i], errs[i] = e.runOn(machine, m) })
	}
	group.Wait()
	for i := range cards {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if !slices.EqualFunc(results[i], results[0], slices.Equal) {
			return nil, fmt.Errorf("card %d has other results than card 0", i)
		}
	}
	return results[0], nil
}

// A module whose heads are not shared evenly is refused in a line.
func TestPartitionRefusesHeads(t *testing.T) {
	m := parse(t, `cache @kv {kind="paged", layers=1, kv_heads=2, dim=16, dtype="f32"}
func @f(%q: f32[T,64], %k: f32[T,32], %kv0: kv[kv]) -> (f32[T,64], kv[kv]) {
  %kv1 = kv.write %kv0, %k, %k {layer=0} : kv[kv]
  %y = attn.paged %q, %kv1 {layer=0, heads=4, kv_heads=2, dim=16, scale=0.5} : f32[T,64]
  return %y, %kv1
}
`)
	_, err := RunOne("partition", m, Options{Target: Plain{}, Cards: 4})
	if want := "pass partition: 4 cards: cache kv has 2 KV heads, which the cards share evenly; build for a number of cards (--tp) that divides it"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
