package compiler

import (
	"errors"
	"fmt"
	"strconv"

	"llmc/compiler/calib"
	"llmc/engine"
	"llmc/internal/cli"
)

// Budget is how much the matrices of a plan may take, in one of two ways; the zero Budget is none.
type Budget struct {
	Bits  float64 // for each weight
	Bytes int64   // all together
}

// ParseBudget reads bits a weight, such as 5.2, or a size with a unit, such as 100M.
func ParseBudget(text string) (Budget, error) {
	if bits, err := strconv.ParseFloat(text, 64); err == nil {
		if !(bits > 0 && bits <= 32) {
			return Budget{}, fmt.Errorf("%q: bits a weight are more than 0 and at most 32; a size has a unit, such as 100M", text)
		}
		return Budget{Bits: bits}, nil
	}
	var size cli.Bytes
	if err := size.Set(text); err != nil || size <= 0 {
		return Budget{}, fmt.Errorf("%q is neither bits a weight, such as 5.2, nor a size, such as 100M", text)
	}
	return Budget{Bytes: int64(size)}, nil
}

// given tells whether there is one.
func (b Budget) given() bool { return b != Budget{} }

// startBudget has a build under a budget begin with the smallest format.
func (o *Options) startBudget(targets []engine.Target) (err error) {
	if !o.Budget.given() {
		return nil
	}
	if o.Calibration == nil {
		return errors.New("--budget: formats are chosen by what they lose on a text: give one with --calib")
	}
	if o.Quant != "" && o.Quant != Auto {
		return fmt.Errorf("--budget chooses formats, and --quant %s is given; leave one of them out", o.Quant)
	}
	m, err := calib.FindMethod(o.Calibration.Method)
	if err == nil && m.Smooths() {
		err = fmt.Errorf("--budget: method %s scales columns for one format; take gptq, gptq-tuned, gptq-apart or rtn", m.Name)
	}
	if err != nil {
		return err
	}
	o.Quant, err = baseFormat(targets)
	return err
}

// of returns how many bits so many weights may take.
func (b Budget) of(weights int64) float64 {
	if b.Bytes > 0 {
		return 8 * float64(b.Bytes)
	}
	return b.Bits * float64(weights)
}

// String is how ParseBudget reads it.
func (b Budget) String() string {
	if b.Bytes > 0 {
		return strconv.FormatInt(b.Bytes, 10) + "B"
	}
	return strconv.FormatFloat(b.Bits, 'g', -1, 64)
}
