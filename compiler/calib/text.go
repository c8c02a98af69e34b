package calib

import (
	_ "embed"
	"fmt"
	"math/rand/v2"
)

// DefaultText is prose, code and dialogue to calibrate on where nothing nearer to a model's use is at hand.
//
//go:embed text/default.txt
var DefaultText string

// HeldOut is one of how many windows of a text is kept from the calibration, so that what became of the model can be measured on it. Of shorter texts it is the last one.
const HeldOut = 8

// RunWindows is how many windows of a text are run where nobody says how many; FewestWindows and MostWindows are how many may be.
const (
	RunWindows    = 36
	FewestWindows = 3
	MostWindows   = 1024
)

// MinTokens is the shortest text: three windows to run, one to measure on.
const MinTokens = 4 * Window

// Split cuts a text into windows to calibrate on, so many at most, and tokens, of whole windows, to measure on. Windows are spread over the whole text, and the same ones for the same text.
func Split(ids []int32, most int) (run [][]int32, measured []int32, err error) {
	if len(ids) < MinTokens {
		return nil, nil, fmt.Errorf("the text has %d tokens, at least %d are needed", len(ids), MinTokens)
	}
	pick(len(ids)/Window, most, func(at int, held bool) {
		if held {
			measured = append(measured, ids[at:at+Window]...)
		} else {
			run = append(run, ids[at:at+Window])
		}
	})
	return run, measured, nil
}

// pick shows where the windows to take of a text begin, and which are held out to measure on.
func pick(windows, most int, take func(at int, held bool)) {
	n := min(windows, max(most, FewestWindows+1, most*HeldOut/(HeldOut-1)))
	for i := range n {
		take(i*windows/n*Window, i%HeldOut == HeldOut-1 || n < HeldOut && i == n-1)
	}
}

// TuneWindows is how many windows the scales of a model are tuned on at most.
const TuneWindows = 112

// Tuning returns the windows to tune on, so many at most, spread over the text and then in random order, the same for the same text. None is measured on when Split takes most windows.
func Tuning(ids []int32, most int) (windows [][]int32) {
	held := map[int]bool{} // by where they begin
	pick(len(ids)/Window, most, func(at int, measured bool) { held[at] = measured })
	for at := 0; at+Window <= len(ids); at += Window {
		if !held[at] {
			windows = append(windows, ids[at:at+Window])
		}
	}
	if n := len(windows); n > TuneWindows {
		for i := range TuneWindows {
			windows[i] = windows[i*n/TuneWindows]
		}
		windows = windows[:TuneWindows]
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(windows), func(i, j int) { windows[i], windows[j] = windows[j], windows[i] })
	return windows
}
