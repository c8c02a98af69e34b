// Package cuda runs plans on NVIDIA GPUs through gorgonia.org/cu: a gpu.Driver with one stream, to which a step's copies and launches go in one
// call, and with graphs of steps that come again. It needs build tag cuda; without it the device only says so.
package cuda
