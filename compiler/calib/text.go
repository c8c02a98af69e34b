package calib

import (
	_ "embed"
	"fmt"
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
	windows := len(ids) / Window
	take := min(windows, max(most, FewestWindows+1, most*HeldOut/(HeldOut-1)))
	for i := range take {
		at := i * windows / take * Window
		window := ids[at : at+Window]
		if i%HeldOut == HeldOut-1 || take < HeldOut && i == take-1 {
			measured = append(measured, window...)
		} else {
			run = append(run, window)
		}
	}
	return run, measured, nil
}
