package engine

// Device runs plans. Implementations live under runtime/device; the compile side reaches one through this interface alone.
type Device interface {
	// Name is what --device calls it: "cpu", "cuda", "emu".
	Name() string
	// Load prepares plan for running under the given settings. It fails with one line that names
	// what the machine lacks when the plan holds no program that it can run.
	Load(plan *Plan, settings Settings) (Model, error)
}

// Settings are the limits chosen at launch. Zero means the device's default.
type Settings struct {
	MaxStepTokens int   // T at most
	MaxSequences  int   // B at most
	MaxRows       int   // R at most
	Drafts        int   // guesses that a sequence brings to a step at most: rows beyond one for each sequence
	MaxContext    int   // positions of one sequence at most
	MaxAdapters   int   // adapters loaded beside the model at most; 0: none, which is all that some devices take
	AdapterRank   int   // of one of them at most; 0: what the plan was built for, or 64
	PageSize      int   // positions of a KV page
	KVBytes       int64 // memory for KV pages
	Threads       int
	NUMA          string // NUMAOff: processors and memory of several nodes are used as if they were one
	Persistent    string // whether GPUs run steps of few tokens by the plan's persistent entries: see PersistentAuto
	Target        string // program to run, "" for the best that the machine can run
	Cards         int    // GPUs that share each layer, up to 1 for one that has all of it
	Stages        int    // groups of so many GPUs that have some of the layers each, up to 1 for one that has all of them
	// MemoryUtilization is the part of a GPU's free memory that is planned for, with the KV pages that it leaves room for; where KVBytes is
	// given, that counts.
	MemoryUtilization float64
	// LaterPlans are loaded onto the same device after this one, with so many bytes of weights together; their part is left to them.
	LaterPlans  int
	LaterBytes  int64
	NoCodeCache bool // code that a GPU's driver compiles is neither kept in files nor looked for there
}

// MemoryUse is what a model takes of its device's memory, in bytes.
type MemoryUse struct {
	Device                           string // by its own name
	Weights, Activations, Arrays, KV int64  // arrays are what the host tells each step, and lists made of it
	Adapters                         int64  // places of adapters, and what steps keep for those
	Free                             int64  // before anything was taken
}

// Total is everything together.
func (u MemoryUse) Total() int64 { return u.Weights + u.Activations + u.Arrays + u.KV + u.Adapters }

// MemoryReporter is a Model that takes what it plans, and nothing later.
type MemoryReporter interface {
	Memory() MemoryUse
}

// Values of Settings.Persistent.
const (
	PersistentAuto = ""    // where that is faster, which the device measures when it loads the plan
	PersistentOn   = "on"  // wherever an entry serves the step
	PersistentOff  = "off" // never
)

// NUMAOff is a value of Settings.NUMA.
const NUMAOff = "off"

// Model is a loaded plan. Step is called by one goroutine at a time.
type Model interface {
	// Limits returns the settings in force, defaults and the chosen target filled in, with the number of KV pages that fit.
	Limits() (settings Settings, pages int)
	// Step runs one forward pass and samples: out[i] answers step.Rows[i]. It does not allocate.
	Step(step *Step, out []Sampled) error
	// CopyPage copies KV page src to dst in every layer and cache.
	CopyPage(dst, src int32) error
	Close() error
}

// StateKeeper is a Model some of whose caches may hold states of sequences: such a page is good for the last of its tokens alone.
type StateKeeper interface{ KeepsState() bool }

// Starter is a Model that works on steps while its owner does something else. Steps run in the order in which they are started. Step is Start and Wait.
type Starter interface {
	Model
	// Foresees tells whether a second step may be started before the first has been waited for, whose IDs may be FromRow of the first one's rows. A row's
	// history is then that of the tokens that are known when the step is started: the device adds the one that its id stands for.
	Foresees() bool
	// Start begins a step, and returns without waiting for it where it can. The step, all it points to and out must stay as they are until Wait
	// has come back from it. A step that Start refuses has not been started.
	Start(step *Step, out []Sampled) error
	// Wait waits for the oldest step started and answers its rows.
	Wait() error
}

// Runner is a Model of a plan with functions that run over whole sequences, such as "embed" of an encoder. A plan that has no function "step"
// refuses Step.
type Runner interface {
	Model
	// Functions lists those that Run takes, in the order of the plan.
	Functions() []string
	// Results tells what a function gives, nil where there is no such function. The rows of a result are a form of the step's sizes.
	Results(function string) []Buffer
	// Run computes a function of the step's sequences, all of whose tokens the step holds; no row is sampled. out[i] receives the function's i-th result, row
	// after row, and must have room for it; nil where it is not wanted. Keys and values that a function caches are its own and mean nothing afterwards,
	// unless the function is there to cache them.
	Run(function string, step *Step, out [][]float32) error
}

// AdapterModel is a Model whose sequences may each have an adapter: see Step.Adapters.
type AdapterModel interface {
	Model
	// LoadAdapter puts the adapter that a plan holds (see AdapterInfo) in a place within 1..Settings.MaxAdapters, in which there is none. The plan must stay
	// open until the place is empty again. Both methods may be called while a step runs that does not name the place, and for several places at once.
	LoadAdapter(place int, adapter *Plan) error
	UnloadAdapter(place int)
}

// PageCopier is a Model that copies many KV pages at once. The list may not write a page twice, nor one that it reads.
type PageCopier interface {
	CopyPages(list []PageCopy) error
}

// PageMover is a Model whose KV pages can go to another process that runs the same plan. Its methods may be called while steps run: ReadPage of pages that these
// do not write, WritePage of pages that they do not use.
type PageMover interface {
	// PageFormat says what the bytes of a page are: models of one plan that say the same read each other's pages.
	PageFormat() string
	// PageBytes is how many bytes a page is moved as, in every layer and cache together.
	PageBytes() int
	// ReadPage and WritePage move a page to or from PageBytes of memory.
	ReadPage(page int32, to []byte) error
	WritePage(page int32, from []byte) error
}

// Reliever is a Model that can give memory back to the system while its owner has no steps for it. What it gives back is provided again when it is needed.
type Reliever interface {
	// RelieveSteps gives back what is only needed while a step runs.
	RelieveSteps()
	// RelievePages gives back what those of the KV pages [first, end) take that used denies. What is in them is lost.
	RelievePages(first, end int, used func(page int32) bool)
}

// TrafficReporter is a Model that can tell. Measuring takes a moment.
type TrafficReporter interface {
	Traffic() (Traffic, error)
}

// Tracer is a Model that can show what its launches compute.
type Tracer interface {
	Model
	// Trace is Step, and calls visit after each launch with each plain matrix that it wrote, by the name that the value has in the
	// IR. The rows are valid until visit returns.
	Trace(step *Step, out []Sampled, visit func(name string, rows [][]float32)) error
}

// PlaceTracer is a Tracer that can show whole numbers too: which rows are sent to which experts.
type PlaceTracer interface {
	Tracer
	// TracePlaces is Trace, and calls places after each launch with each matrix of whole numbers that it wrote, row after row.
	TracePlaces(step *Step, out []Sampled, visit func(name string, rows [][]float32), places func(name string, values []int32)) error
}

// PartTracer is a PlaceTracer that can stop a step of the function "step" between two launches, and go on when others have run.
type PartTracer interface {
	PlaceTracer
	// TracePart is TracePlaces of launches [first, last) alone; rows are not sampled. before is what TracePart returned when it stopped at first in the same step, nil where first is 0. What it
	// returns, in room where that is large enough, is what launches from last on read of the matrices written so far. Caches are left out: where launches of other steps come between, none may
	// read what one on the other side of the stop has cached.
	TracePart(step *Step, first, last int, before, room []byte, visit func(name string, rows [][]float32), places func(name string, values []int32)) (after []byte, err error)
}

// FunctionTracer is a Tracer of a plan with several functions.
type FunctionTracer interface {
	Tracer
	Runner
	// TraceFunction is Trace of one that Run takes.
	TraceFunction(function string, step *Step, visit func(name string, rows [][]float32)) error
}

// LaunchTime is what one launch of a program took in a step.
type LaunchTime struct {
	Kernel, Label string
	WeightBytes   int64 // of weights that it reads
	Seconds       float64
	// StackBytes adds up what it reads of stacks of experts' matrices, in the steps that Seconds adds up, where WeightBytes leaves them out.
	StackBytes int64
	// Traffic adds up what it reads and writes of weights, activations and cache, each byte once, and Flops the multiplications and additions of its
	// matrix products, in the steps that Seconds adds up. Both are 0 where the device does not say.
	Traffic, Flops float64
}

// Profiler is a Model that can time its launches.
type Profiler interface {
	// Profile is Step, and adds the time of each launch to times, which has one element for each launch and one for what is not in them: sampling on
	// a processor, the host's part of the step on a GPU. A launch's time begins with the end of the one before, and no launch begins
	// before that, so the sum is somewhat more than a step takes.
	Profile(step *Step, out []Sampled, times []LaunchTime) error
	// Launches returns times with names and sizes and no seconds.
	Launches() []LaunchTime
}

// FunctionProfiler is a Profiler of a plan with several functions.
type FunctionProfiler interface {
	Profiler
	Runner
	// ProfileFunction is Profile of one that Run takes. What is not in its launches is what they take to be handed out.
	ProfileFunction(function string, step *Step, times []LaunchTime) error
	// LaunchesOf is Launches of one that Run takes, nil where there is no such function.
	LaunchesOf(function string) []LaunchTime
}

// StepTimer is a Model whose device works beside the host, and can tell how long it worked for a step; what the step takes beyond that is the host's
// time.
type StepTimer interface {
	// TimeSteps switches the timing of steps on or off. It fails where the device has no clock.
	TimeSteps(on bool) error
	// DeviceSeconds is how long the device worked for the last step that is done.
	DeviceSeconds() (float64, error)
}
