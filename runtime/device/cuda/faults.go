//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"gorgonia.org/cu"

	"llmc/engine"
	"llmc/runtime/device/cuda/driver"
)

const (
	outOfMemory driver.Result = 2
	noDevice    driver.Result = 100
)

// losing are the results after which a context answers nothing but the same result, or the device is gone ("Data types used by CUDA driver"). The
// process has to end before the device can be used again.
var losing = map[driver.Result]bool{
	4:   true, // the driver is shutting down
	46:  true, // device unavailable
	214: true, // ECC error that could not be corrected
	220: true, // NVLink error that could not be corrected
	226: true, // error contained to this process
	700: true, // illegal address
	702: true, // a kernel was stopped because it took too long
	709: true, // the context is destroyed
	710: true, // assert
	714: true, // stack of the hardware
	715: true, // illegal instruction
	716: true, // misaligned address
	717: true, // address space
	718: true, // program counter
	719: true, // launch failed
	721: true, // tensor memory was not given back
	805: true, // MPS: no connection
	807: true, // MPS: the server failed
	810: true, // MPS: this client was ended
	911: true, // external device
	999: true, // unknown
}

// resultOf returns the driver's number of an error of ours or of cu, whose type is not exported; 0 if it is neither.
func resultOf(err error) driver.Result {
	var ours driver.Result
	if err == nil || errors.As(err, &ours) {
		return ours
	}
	if v := reflect.ValueOf(err); v.Type() == reflect.TypeOf(cu.Success) {
		return driver.Result(v.Int())
	}
	switch wrapped := err.(type) {
	case interface{ Unwrap() error }:
		return resultOf(wrapped.Unwrap())
	case interface{ Unwrap() []error }:
		for _, e := range wrapped.Unwrap() {
			if r := resultOf(e); r != 0 {
				return r
			}
		}
	}
	return 0
}

// describe is the error in the driver's words.
func describe(err error) string {
	var r driver.Result
	if number := resultOf(err); number != 0 && !errors.As(err, &r) {
		return number.Error()
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// judge says what was done when a call failed, and marks the device as lost if that is what it means.
func (d *device) judge(what string, err error) error {
	if err == nil || errors.Is(err, engine.ErrDeviceLost) || errors.Is(err, engine.ErrDeviceMemory) {
		return err
	}
	number := resultOf(err)
	switch {
	case losing[number]:
		d.lost = fmt.Errorf("%w: %s: %s: %s", engine.ErrDeviceLost, d.card.Name, what, describe(err))
		return d.lost
	case number == outOfMemory:
		return fmt.Errorf("%w: %s: %s", engine.ErrDeviceMemory, d.card.Name, what)
	}
	return fmt.Errorf("%s: %s: %s", d.card.Name, what, describe(err))
}
