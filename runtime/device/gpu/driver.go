package gpu

import "llmc/engine"

// Driver is one device and its memory.
type Driver interface {
	// Card describes the device.
	Card() Card
	// Load makes the entries of PTX text ready.
	Load(ptx string) (Code, error)
	// Alloc takes memory; what it holds at first is not defined.
	Alloc(name string, bytes int64) (Memory, error)
	// Constant makes data readable by kernels. Data stays as it is as long as the memory is in use, so it need not be copied.
	Constant(name string, data []byte) (Memory, error)
	// Launch queues a kernel. Kernels run one after the other.
	Launch(l *Launch) error
	// Finish waits for everything queued, and reports what went wrong in it.
	Finish() error
	Close() error
}

// CubinLoader is a Driver that also takes what an assembler made of PTX, for exactly its card.
type CubinLoader interface {
	// LoadCubin makes the entries ready; false where the card or its driver does not take this code, so that the PTX has to be compiled.
	LoadCubin(c *engine.Cubin) (Code, bool)
}

// Recorder is a Driver that runs launches again for less than what it takes to launch each of them.
type Recorder interface {
	// Record calls queue, which launches kernels and does nothing else, and keeps these launches instead of running them. It is
	// engine.ErrDeviceMemory where there is no room to keep them.
	Record(queue func() error) (Recording, error)
	// Replay queues the launches of a recording.
	Replay(r Recording) error
}

// Recording is a list of launches with their arguments, kept by a Recorder until it is closed.
type Recording any

// Code is loaded PTX.
type Code interface {
	// Entry finds a kernel.
	Entry(name string) (Kernel, error)
}

// Kernel is an entry that can be launched.
type Kernel any

// Memory is a range of the device's memory.
type Memory interface {
	Addr() uint64
	// Write and Read copy to and from the range at an offset, after everything queued.
	Write(offset int64, data []byte) error
	Read(offset int64, data []byte) error
}

// Launch is a kernel with the sizes and arguments of a step. Label names it in errors.
type Launch struct {
	Kernel  Kernel
	Label   string
	Grid    [3]uint32
	Threads uint32
	Shared  uint32
	Args    []uint64
}
