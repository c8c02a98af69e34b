//go:build cuda

package cuda

import (
	"gorgonia.org/cu"
)

// Stamp implements gpu.Timer: the time is that of an event.
func (d *device) Stamp(n int) error {
	for len(d.stamps) <= n {
		err := d.do("an event", func() error {
			e, err := cu.MakeEvent(cu.DefaultEvent)
			if err == nil {
				d.stamps = append(d.stamps, e)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	d.queue.Event(d.stamps[n], "a time")
	return d.lost
}

// Seconds implements gpu.Timer. The driver counts in steps of about half a microsecond.
func (d *device) Seconds(from, to int) (seconds float64, err error) {
	err = d.do("the time between events", func() error {
		milliseconds, err := d.stamps[from].Elapsed(d.stamps[to])
		seconds = milliseconds / 1e3
		return err
	})
	return seconds, err
}
