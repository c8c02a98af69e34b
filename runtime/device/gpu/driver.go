package gpu

import "llmc/engine"

// Driver is one device and its memory.
type Driver interface {
	// Card describes the device.
	Card() Card
	// Load makes the entries of PTX text ready.
	Load(ptx string) (Code, error)
	// Alloc takes memory for all ranges, RangeBytes at most, each aligned to RangeAlign, one behind the other where that is of use. What it holds at
	// first is not defined. what names them together.
	Alloc(what string, ranges []Range) ([]Memory, error)
	// Pinned takes memory of the host that Send and Fetch copy from and to.
	Pinned(name string, bytes int64) ([]byte, error)
	// Constants makes data readable by kernels, which takes RangeBytes at most. The data stays as it is as long as the memory is in use. It
	// is there when the upload has been waited for; until then the driver may be used for other things.
	Constants(list []Constant) (Upload, error)
	// Launch queues a kernel. Kernels run one after the other.
	Launch(l *Launch) error
	// Clear queues the filling of a range of memory with zeros.
	Clear(m Memory, offset, bytes int64) error
	// Send queues copies from pinned memory, which must stay as it is until a mark behind them has been awaited.
	Send(list []Transfer) error
	// Fetch queues a copy to pinned memory, which is there when a mark behind it has been awaited.
	Fetch(to []byte, from Memory, offset int64) error
	// Mark starts what is queued and returns the place behind it. There are at most two marks that have not been awaited.
	Mark() (Mark, error)
	// Await waits for the oldest such mark, and reports what went wrong before it.
	Await(m Mark) error
	// Finish waits for everything queued, and reports what went wrong in it.
	Finish() error
	Close() error
}

// Mark is a place in what is queued.
type Mark int

// Transfer is a copy to the beginning of memory.
type Transfer struct {
	To   Memory
	Data []byte
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

// Constant is data that kernels read.
type Constant struct {
	Name  string
	Data  []byte // for a driver that uses it where it lies; nil where it does not lie in one piece
	Bytes int64  // how long it is, where Data does not say
	// Read copies a part of it, for a driver that needs each byte once.
	Read func(to []byte, at int64) error
	// ReadAhead says that so many bytes from at on will be read soon.
	ReadAhead func(at, bytes int64)
}

// Size is how long the constant is.
func (c *Constant) Size() int64 { return max(c.Bytes, int64(len(c.Data))) }

// Upload is constants on their way to the device.
type Upload interface {
	// Addr is where a constant of the list will lie.
	Addr(i int) uint64
	// Wait comes back when all of them are there.
	Wait() error
}

// Linked is a Driver that others of its kind wait for, and copy from.
type Linked interface {
	// Signal queues the giving of signal n, when everything queued before it is done, and hands over what is queued. There are MostSignals.
	Signal(n int) error
	// WaitFor queues waiting for the signal that another driver has been told to give last, by that number. It has been told so.
	WaitFor(other Driver, n int) error
	// CopyFrom queues a copy of memory of another driver.
	CopyFrom(other Driver, list []Moved) error
}

// MostSignals bounds the numbers of signals.
const MostSignals = 4

// Moved are bytes that lie at the same offset in memory of one driver and of another.
type Moved struct {
	To, From      Memory
	Offset, Bytes int64
}

// Networked is a Driver that hands memory on to drivers of other machines by itself, in its turn with launches.
type Networked interface {
	// Network tells in a line why it can not; nil: it can.
	Network() error
	// NewNetwork makes up what the members of a network know it by.
	NewNetwork() ([]byte, error)
	// Join makes the driver one of so many members, and waits for all of them to come, or for stop.
	Join(network []byte, rank, size int, stop <-chan struct{}) error
	// SendTo queues the sending of ranges to a member, and ReceiveFrom the receiving: each comes back when it is queued. The other member does the other, with ranges as long.
	SendTo(rank int, list []Moved) error
	ReceiveFrom(rank int, list []Moved) error
	// NetworkFailed tells what has gone wrong beside what is queued. It may be called at any time, as Leave.
	NetworkFailed() error
	// Leave ends what is being sent and received, whatever comes of it, and all that would be.
	Leave()
}

// Timer is a Driver that can tell when what was queued was done, by a clock of the device.
type Timer interface {
	// Stamp queues the taking of time n, when everything queued before it is done. Numbers are small; a time may be taken again.
	Stamp(n int) error
	// Seconds is what lies between two times that have been waited for.
	Seconds(from, to int) (float64, error)
}

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
	// Write and Read copy to and from the range at an offset, after everything queued. Read waits.
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
	// Early: the kernel waits for the launch before it by itself. See engine.Code.
	Early bool
	// Together wants all CTAs to run at the same time, since they wait for each other; see Cooperator.
	Together bool
}
