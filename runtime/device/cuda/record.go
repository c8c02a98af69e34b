//go:build cuda

package cuda

import (
	"gorgonia.org/cu"

	"llmc/runtime/device/cuda/shim"
	"llmc/runtime/device/gpu"
)

// Record implements gpu.Recorder.
func (d *device) Record(queue func() error) (gpu.Recording, error) {
	if err := d.submit("copies", false); err != nil {
		return nil, err
	}
	if err := queue(); err != nil {
		d.queue.Drop()
		return nil, err
	}
	var graph cu.ExecGraph
	err := d.do("recording a step", func() (err error) {
		graph, err = shim.Capture(&d.queue, d.stream)
		return err
	})
	if err != nil {
		return nil, err
	}
	d.graphs = append(d.graphs, graph)
	return graph, nil
}

// Replay implements gpu.Recorder.
func (d *device) Replay(r gpu.Recording) error {
	if d.lost != nil {
		return d.lost
	}
	d.queue.Graph(r.(cu.ExecGraph), "a recorded step")
	return nil
}
