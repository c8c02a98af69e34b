package compiler

import (
	"fmt"
	"io"
	"runtime"
	"slices"

	"llmc/compiler/buildcache"
	"llmc/compiler/dump"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/internal/cachedir"
	"llmc/internal/cli"
	"llmc/passes"
)

// Options say what to build. Only Threads, Progress, Cache and the dump do not change the plan's bytes.
type Options struct {
	Model string   // directory in HuggingFace layout
	Out   string   // path of the plan
	Archs []string // target names; "native" is resolved to a row
	// NoFallback leaves out the program that other GPUs than those of an exact target could run.
	NoFallback bool
	Cubin      bool              // keep what ptxas makes of the PTX of GPU targets beside it
	PTXAS      string            // path of ptxas; "" looks for it
	Quant      string            // "auto", or a row of the formats table
	Rotation   passes.Rotation   // how much of the model is turned
	Override   []passes.Override // formats of single weights, by pattern of their names
	KVDType    string            // one of KVDTypes
	Requantize bool              // allows that codes of the checkpoint are rounded to others
	Random     *uint64           // seed of made-up weights instead of the checkpoint's

	// IgnoreKeys are keys of config.json, IgnoreTensors patterns (path.Match) of tensors, that are known not to matter although the
	// model's family does not know them.
	IgnoreKeys, IgnoreTensors []string
	Family                    string         // path of a family file that says what the model computes; "": its family is built in
	read                      *models.Script // that file, once it has been read
	Budget                    Budget         // of the matrices, of which each gets a format then; of calibrations with Quant auto
	Gate                      Gate           // what the accuracy report must hold to, or there is no plan

	Calibration *Calibration // nil: codes are the nearest ones, and nothing is measured on a text
	calibrated  *calibrated  // that another build of the model has found
	smooth      func(*passes.Smoothing) ([]float32, error)

	// Cards are numbers of GPUs that are to share the model: of each the plan has programs for GPU targets, beside those for one.
	Cards []int

	// Repo and Commit say of which repository of the Hub the directory is a snapshot; "" when it is of none.
	Repo, Commit string

	Lora []Adapter // merged into the weights, in order
	// LoraRank is the largest rank of adapters that are to be served beside the model; 0: none is said, and a model that is turned takes none.
	LoraRank int

	Check    bool        // verify the IR and the promised properties after every pass
	Dump     string      // name of a pass, or "all": print the IR after it
	DumpTo   io.Writer   // where dumps go
	Trace    *dump.Trace // records the IR after every pass, when set
	Disabled []string    // passes and rewrites not to run

	// Cache keeps what is built, and gives what was built from the same before; nil: there is none.
	Cache *buildcache.Cache
	sums  *cachedir.Sums // hashes that are known of the checkpoint's files

	Threads  int // workers that read, quantize and pack; 0: one for each processor
	Progress *cli.Progress
}

// Report is what a build ends with. The names are those of the command's JSON.
type Report struct {
	Plan          string   `json:"plan"`
	PlanBytes     int64    `json:"plan_bytes"`
	Seconds       float64  `json:"seconds"`
	SyncSeconds   float64  `json:"sync_seconds"` // of them, waiting until the file is on the disk
	PeakAnonBytes int64    `json:"peak_anon_bytes"`
	Accuracy      Accuracy `json:"accuracy"`
	Digest        string   `json:"digest"`
	Targets       []string `json:"targets"`
	Quant         string   `json:"quant"`
	Stored        string   `json:"stored,omitempty"` // what became of the codes of a checkpoint that is quantized
	BitsPerWeight float64  `json:"bits_per_weight"`
	Parameters    int64    `json:"parameters"`
	Cached        string   `json:"cached,omitempty"` // CachedInPlace or CachedCopy: an earlier build has made it
}

func (o *Options) resolve() ([]engine.Target, error) {
	o.Threads = workers(o.Threads)
	if len(o.Archs) == 0 {
		o.Archs = []string{"native"}
	}
	named := map[string]bool{}
	var targets []engine.Target
	for _, name := range o.Archs {
		t, err := engine.FindTarget(name)
		if err != nil {
			return nil, err
		}
		if named[t.Name] {
			return nil, fmt.Errorf("target %s is given twice", t.Name)
		}
		named[t.Name] = true
		if targets, err = withTarget(targets, t.Code()); err != nil {
			return nil, err
		}
	}
	for _, t := range targets {
		if t.Fallback == "" || o.NoFallback {
			continue
		}
		var err error
		if targets, err = withTarget(targets, t.Fallback); err != nil {
			return nil, err
		}
	}
	return targets, nil
}

// checkCards leaves numbers of cards to builds for GPUs: on processors plans are the same for any number of ranks.
func (o *Options) checkCards(targets []engine.Target) error {
	if !slices.ContainsFunc(targets, func(t engine.Target) bool { return t.Device == "cuda" }) {
		o.Cards = nil
	}
	for _, n := range o.Cards {
		if n < 2 || n > engine.MaxCards {
			return fmt.Errorf("tp is %d: a model is shared by 2 to %d GPUs", n, engine.MaxCards)
		}
	}
	o.Cards = slices.Compact(slices.Sorted(slices.Values(o.Cards)))
	return nil
}

// withTarget adds a target unless it is there.
func withTarget(targets []engine.Target, name string) ([]engine.Target, error) {
	if slices.ContainsFunc(targets, func(have engine.Target) bool { return have.Name == name }) {
		return targets, nil
	}
	t, err := engine.FindTarget(name)
	return append(targets, t), err
}

// workers is the number of threads to use when threads are asked for; 0 asks for one on each processor.
func workers(threads int) int {
	if threads <= 0 {
		return runtime.NumCPU()
	}
	return threads
}
