// Package emulated is an NVIDIA driver without a GPU, for tests: the calls of libcuda.so.1 as far as runtime/device/cuda makes them, over the PTX
// emulator. It takes the place of the library behind gorgonia.org/cu. Work is done as late as it may be: copies and launches when somebody waits
// for them, so that what should have waited shows; wrong calls are refused where hardware would let them pass. Without build tag cuda it is empty.
package emulated
