package bench

import (
	"context"
	"fmt"
	"time"

	"llmc/engine"
)

// hostSteps bounds the decode steps whose host time is taken.
const hostSteps = 64

// hostMicros is the median time of a decode step in which the device does nothing for it, in microseconds; 0 where the device is the host. What the
// device was waited for is not in it, copies and the start of the launches are.
func (r *run) hostMicros(ctx context.Context) (float64, error) {
	timer, ok := r.model.(engine.StepTimer)
	if !ok || r.c.Gen == 0 {
		return 0, nil
	}
	if err := timer.TimeSteps(true); err != nil {
		return 0, nil // no clock
	}
	last := make([]int32, r.batch)
	if err := r.prefill(ctx, last); err != nil {
		return 0, err
	}
	var host []float64
	for i := range min(r.c.Gen, hostSteps) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		start := time.Now()
		if err := r.decode(last, i); err != nil {
			return 0, err
		}
		wall := time.Since(start).Seconds()
		device, err := timer.DeviceSeconds()
		if err != nil {
			return 0, fmt.Errorf("the device's clock: %w", err)
		}
		host = append(host, 1e6*(wall-device))
	}
	return median(host), timer.TimeSteps(false)
}
