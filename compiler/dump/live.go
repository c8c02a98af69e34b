package dump

import (
	"fmt"
	"strings"

	"llmc/engine"
)

// Live is how many bytes of activations are in use at each launch of a step.
type Live struct {
	Function, Target string
	Tokens           int64
	Bytes            []float64 // at each launch
	Peak             int64
	PeakAt           string // label of the launch
	Arena            int64
}

// newLive finds from which launch to which a buffer is in use: the first that names it, and the last. Results are in use to the end.
func newLive(p *engine.Plan, program *engine.Program, s Step) (*Live, error) {
	predict := newPredictor(sourceOf(p), program, nil, 1, s)
	l := &Live{Function: program.Func, Target: program.Target, Tokens: predict.step.Tokens, Bytes: make([]float64, len(program.Launches))}
	for _, slot := range program.Slots {
		n, err := slot.Eval(predict.env)
		if err != nil {
			return nil, err
		}
		l.Arena += n
	}
	first, last := make([]int, len(program.Buffers)), make([]int, len(program.Buffers))
	for i := range first {
		first[i] = -1
	}
	for at := range program.Launches {
		for _, o := range program.Launches[at].Operands {
			if o.Kind != engine.OperandBuffer {
				continue
			}
			if first[o.Index] < 0 {
				first[o.Index] = at
			}
			last[o.Index] = at
		}
	}
	end := len(program.Launches) - 1
	for _, r := range program.Results {
		last[r.Buffer] = end
	}
	if program.Logits >= 0 && program.Logits < len(last) {
		last[program.Logits] = end
	}
	for i := range program.Buffers {
		if first[i] < 0 {
			continue
		}
		n, err := predict.bufferBytes(&program.Buffers[i])
		if err != nil {
			return nil, fmt.Errorf("buffer %d: %w", i, err)
		}
		for at := first[i]; at <= last[i]; at++ {
			l.Bytes[at] += n
		}
	}
	peak := 0.0
	for at, n := range l.Bytes {
		if n > peak {
			peak, l.PeakAt = n, program.Launches[at].Label
		}
	}
	l.Peak = int64(peak)
	return l, nil
}

// Points outlines the area of a plot that is 1000 wide and 100 high, which is the arena.
func (l *Live) Points() string {
	high := max(float64(l.Arena), float64(l.Peak), 1)
	var b strings.Builder
	b.WriteString("0,100")
	wide := 1000 / float64(max(1, len(l.Bytes)))
	for at, n := range l.Bytes {
		y := 100 - 100*n/high
		fmt.Fprintf(&b, " %.1f,%.1f %.1f,%.1f", float64(at)*wide, y, float64(at+1)*wide, y)
	}
	b.WriteString(" 1000,100")
	return b.String()
}
