package compiler

import (
	"math"

	"llmc/compiler/calib"
	"llmc/engine/layout"
	"llmc/internal/quant"
)

// Accuracy is what a build knows of its quantization: how far the stored weights are from the checkpoint's. Figures are root mean
// square errors relative to the root mean square of the weights; all are 0 when nothing was quantized.
type Accuracy struct {
	WeightError float64      `json:"weight_error"` // over all quantized weights
	Worst       *WeightLoss  `json:"worst,omitempty"`
	Weights     []WeightLoss `json:"weights,omitempty"`

	// Of builds with a calibration: how codes were chosen, the weight whose products lose most, and what the model does with a part of the text that it was not calibrated on.
	Method      string         `json:"method,omitempty"`
	WorstOutput *WeightLoss    `json:"worst_output,omitempty"`
	Text        *calib.Quality `json:"text,omitempty"`
	Rounded     []string       `json:"rounded,omitempty"` // experts that the text sends too few rows to, so that their codes are the nearest ones
}

// WeightLoss is the figure of one weight.
type WeightLoss struct {
	Name   string  `json:"name"`
	Format string  `json:"format"`
	Error  float64 `json:"error"`
	Output float64 `json:"output_error,omitempty"` // of products with the inputs of the calibration
}

// panelLoss sums up squares over one panel. Panels are added in order, so that the report does not depend on the threads.
type panelLoss struct{ err, ref float64 }

func newPanelLoss(rows, back []float32) panelLoss {
	var l [4]panelLoss // elements in turn: a sum waits for the one before it
	for len(rows) >= 4 && len(back) >= 4 {
		x, y := (*[4]float32)(rows), (*[4]float32)(back)
		l[0].add(x[0], y[0])
		l[1].add(x[1], y[1])
		l[2].add(x[2], y[2])
		l[3].add(x[3], y[3])
		rows, back = rows[4:], back[4:]
	}
	for i, x := range rows {
		l[0].add(x, back[i])
	}
	return panelLoss{l[0].err + l[1].err + (l[2].err + l[3].err), l[0].ref + l[1].ref + (l[2].ref + l[3].ref)}
}

func (l *panelLoss) add(x, back float32) {
	d := float64(x) - float64(back)
	l.err += float64(d * d)
	l.ref += float64(float64(x) * float64(x))
}

func relative(l panelLoss) float64 {
	if l.ref == 0 {
		return 0
	}
	return math.Sqrt(l.err / l.ref)
}

// accuracy makes the report of all jobs. Codes that are stored for several devices count once.
func accuracy(jobs []*packJob) Accuracy {
	var a Accuracy
	var all panelLoss
	for _, j := range jobs {
		if j.format == nil || j.repeats {
			continue
		}
		if few := j.rounded(); few != "" {
			a.Rounded = append(a.Rounded, few)
		}
		var sum panelLoss
		for _, p := range j.loss {
			sum.err, sum.ref = sum.err+p.err, sum.ref+p.ref
		}
		all.err, all.ref = all.err+sum.err, all.ref+sum.ref
		a.Weights = append(a.Weights, WeightLoss{j.weight.Name, j.format.Name, relative(sum), j.chosen.output()})
	}
	a.WeightError = relative(all)
	for i := range a.Weights {
		if a.Worst == nil || a.Weights[i].Error > a.Worst.Error {
			a.Worst = &a.Weights[i]
		}
		if out := a.Weights[i].Output; out > 0 && (a.WorstOutput == nil || out > a.WorstOutput.Output) {
			a.WorstOutput = &a.Weights[i]
		}
	}
	return a
}

// storedBits returns the bits that the matrices of one target take for each of their elements, and the elements of all its weights.
func storedBits(jobs []*packJob) (bits float64, parameters int64) {
	total := 0.0
	matrices := int64(0)
	for _, j := range jobs {
		n := j.rows * j.cols
		if j.packed == nil {
			if j.weight.Type.Rank() == 1 && !isOrder(j.weight) {
				parameters += n
			}
			continue
		}
		format := j.format
		if format == nil {
			format, _ = quant.Find(j.weight.Type.DType.String())
		}
		parameters += n / digitsOf(j.weight)
		matrices += n / digitsOf(j.weight)
		bits := format.BitsPerWeight(int(j.cols))
		if l, ok := j.packed.(layout.Linear); ok && j.format != nil && l.KPerStep == 2 {
			bits += float64(8*layout.StepBytes/layout.Lanes/l.KPerStep - format.DType.Bits()) // of codes that are held as bf16
		}
		total += bits * float64(n)
	}
	if matrices == 0 {
		return 0, parameters
	}
	return total / float64(matrices), parameters
}
