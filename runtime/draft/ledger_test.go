package draft

import "testing"

// TestLossesMakeGuessingRest wants rests that grow while time is lost, and none while it is gained or about even.
func TestLossesMakeGuessingRest(t *testing.T) {
	for _, c := range []struct {
		without     float64
		least, most int // steps with guesses of 4000
	}{{1.5, 4000, 4000}, {1, 4000, 4000}, {0.9, 80, 600}} {
		var l Ledger
		guessed := 0
		for range 4000 {
			if !l.Rests() {
				guessed++
				l.Book(1, c.without)
			}
		}
		if guessed < c.least || guessed > c.most {
			t.Errorf("steps that would have taken %v: %d with guesses", c.without, guessed)
		}
	}
}
