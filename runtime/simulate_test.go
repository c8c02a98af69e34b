package runtime

import (
	"errors"
	"math"
	"testing"
	"time"

	"llmc/engine"
)

// perStep is a device that takes 10 ms a step and 0.1 ms a token more.
func perStep(st *engine.Step) time.Duration {
	return 10*time.Millisecond + time.Duration(st.T())*100*time.Microsecond
}

func simulation(servers int) *Simulation {
	return &Simulation{Settings: engine.Settings{MaxStepTokens: 512, MaxSequences: 64, MaxRows: 64, MaxContext: 2048, PageSize: 16}, Pages: 4096, Servers: servers, Cost: perStep}
}

// TestSimulationOfOne compares a request alone with what it takes by hand: a step for the prompt, one for each token behind the first.
func TestSimulationOfOne(t *testing.T) {
	done, err := simulation(1).Run(t.Context(), []Arrival{{At: time.Second, Prompt: 100, Output: 11}})
	if err != nil {
		t.Fatal(err)
	}
	q, step := done.Requests[0], 10100*time.Microsecond
	if first := time.Second + 20*time.Millisecond; q.First != first || q.End != first+10*step || q.Refused != nil || done.Steps != 11 || len(done.Gaps) != 10 || done.Busy != 20*time.Millisecond+10*step {
		t.Errorf("%+v: %d steps, %d gaps, busy %v", q, done.Steps, len(done.Gaps), done.Busy)
	}
	for _, gap := range done.Gaps {
		if math.Abs(float64(gap)-step.Seconds()) > 1e-6 {
			t.Errorf("a gap of %v s instead of %v", gap, step)
		}
	}
}

// TestSimulationServesAll: everything that has room is answered to its last token, whatever the number of servers; more of them do not make anybody wait longer in all, and one alone is
// the bottleneck that it has to be.
func TestSimulationServesAll(t *testing.T) {
	var arrivals []Arrival
	tokens := 0
	for i := range 600 {
		arrivals = append(arrivals, Arrival{At: time.Duration(i) * 5 * time.Millisecond, Prompt: 1 + i*37%700, Output: 1 + i*13%90})
		tokens += arrivals[i].Output
	}
	arrivals = append(arrivals, Arrival{At: 4 * time.Second, Prompt: 2000, Output: 100})
	before := math.Inf(1)
	for _, servers := range []int{1, 2, 8} {
		done, err := simulation(servers).Run(t.Context(), arrivals)
		if err != nil {
			t.Fatal(err)
		}
		waited := 0.0
		for i, q := range done.Requests[:600] {
			if q.Refused != nil || q.First <= q.At || q.End < q.First {
				t.Fatalf("%d servers: request %d: %+v", servers, i, q)
			}
			waited += (q.End - q.At).Seconds()
		}
		if err := done.Requests[600].Refused; !errors.Is(err, ErrTooLong) {
			t.Errorf("a request beyond the context: %v", err)
		}
		if len(done.Gaps) != tokens-600 {
			t.Errorf("%d servers: %d gaps of %d tokens", servers, len(done.Gaps), tokens)
		}
		if waited >= before || done.Busy > time.Duration(servers)*done.End {
			t.Errorf("%d servers: %v s waited, %v before; busy %v of %v", servers, waited, before, done.Busy, done.End)
		}
		before = waited
	}
}

// TestSimulationIsBounded refuses what queues have no room for, and goes on with little memory.
func TestSimulationIsBounded(t *testing.T) {
	c := simulation(1)
	c.Settings.MaxSequences, c.QueueLimit = 4, 10
	burst := make([]Arrival, 100)
	for i := range burst {
		burst[i] = Arrival{Prompt: 50, Output: 20}
	}
	done, err := c.Run(t.Context(), burst)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, q := range done.Requests {
		if q.Refused != nil {
			refused++
		}
	}
	if refused == 0 || refused > 90 || done.MostWaiting > 14 {
		t.Errorf("%d of 100 refused, %d waited", refused, done.MostWaiting)
	}
	c.QueueLimit, c.Pages, c.Settings.MaxSequences = 0, 40, 64
	if done, err = c.Run(t.Context(), burst); err != nil || done.MostPages < 0.5 || done.MostPages > 1 {
		t.Errorf("%v, %v of the pages were held", err, done.MostPages)
	}
	for _, q := range done.Requests {
		if q.Refused != nil {
			t.Errorf("%+v", q)
		}
	}
}
