package bench

import (
	"context"
	"fmt"
	"time"

	"llmc/engine"
)

const (
	// hostSteps bounds the decode steps whose host time is taken.
	hostSteps = 64
	// settle is waited for, beside the device's time, before a step is asked for its answer: the device is idle by then.
	settle = 200 * time.Microsecond
)

// hostTimes are medians of a decode step, in microseconds; zeros where the device is the host, or has no clock.
type hostTimes struct {
	work float64 // what the host does for it: starting it, and reading its answer once it is there
	idle float64 // when the device does nothing for it, from where it is started to where its answer is there, with nothing started behind it
}

func (r *run) hostTimes(ctx context.Context) (h hostTimes, err error) {
	timer, ok := r.model.(engine.StepTimer)
	if !ok || r.c.Gen == 0 || timer.TimeSteps(true) != nil {
		return h, nil
	}
	last := make([]int32, r.batch)
	if err := r.prefill(ctx, last); err != nil {
		return h, err
	}
	var work, idle []float64
	device := 0.0
	for i := range min(r.c.Gen, hostSteps) {
		if err := ctx.Err(); err != nil {
			return h, err
		}
		busy := 0.0
		begin := time.Now()
		if starter, ok := r.model.(engine.Starter); ok && i%2 != 0 {
			busy, err = r.decodeSettled(starter, last, i, device)
		} else {
			err = r.decode(last, i)
		}
		wall := time.Since(begin).Seconds()
		if err != nil {
			return h, err
		}
		if device, err = timer.DeviceSeconds(); err != nil {
			return h, fmt.Errorf("the device's clock: %w", err)
		}
		switch {
		case busy == 0:
			idle = append(idle, 1e6*(wall-device))
		case busy > device: // a device that works when it is asked to
			work = append(work, 1e6*(busy-device))
		default:
			work = append(work, 1e6*busy)
		}
	}
	h.idle = Median(idle)
	if len(work) > 0 {
		h.work = Median(work)
	}
	return h, timer.TimeSteps(false)
}

// decodeSettled runs decode step i and asks for its answer when that has long been there. It returns the seconds that the host was at work.
func (r *run) decodeSettled(model engine.Starter, last []int32, i int, device float64) (float64, error) {
	r.fill(last, i)
	begin := time.Now()
	err := model.Start(r.step, r.out[:r.batch])
	started := time.Since(begin)
	if err != nil {
		return 0, err
	}
	time.Sleep(settle + time.Duration(1.5*device*float64(time.Second)))
	begin = time.Now()
	err = model.Wait()
	r.take(last, r.batch)
	return (started + time.Since(begin)).Seconds(), err
}
