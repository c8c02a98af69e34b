package main

import (
	goruntime "runtime"

	"github.com/spf13/cobra"

	"llmc/engine"
	"llmc/internal/cli"
	"llmc/runtime"
)

// deviceFlags are the flags of every command that loads a plan onto a device.
type deviceFlags struct {
	device  string
	persist string
	rankFlags
	kvMemory    cli.Bytes
	utilization float64
	settings    engine.Settings
}

func (f *deviceFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.device, "device", "auto", "where to run: cpu, cuda (an NVIDIA GPU), or auto: a GPU if the plan has a program for it, else the CPU")
	cli.CompleteArgs(cmd, cli.PlanArg)
	cli.CompleteFlag(cmd, "device", runtime.DeviceNames()...)
	flags.StringVar(&f.persist, "persistent", "auto", "whether a GPU runs a step of few tokens in one launch: on, off, or auto: if it measures at start that this is faster")
	cli.CompleteFlag(cmd, "persistent", "auto", "on", "off")
	flags.IntVar(&f.settings.Threads, "threads", 0, "threads of the cpu device (default: all cores)")
	flags.StringVar(&f.settings.NUMA, "numa", numaAuto, "on machines whose memory has several nodes: auto keeps threads on them, and what each thread reads in their memory; off uses all as one")
	cli.CompleteFlag(cmd, "numa", numaAuto, engine.NUMAOff)
	f.rankFlags.add(cmd)
	flags.BoolVar(&f.settings.NoCodeCache, "no-jit-cache", false, "compile the code for a GPU anew and keep none of it, which is else kept in ~/.nv/ComputeCache or below LLMC_CACHE")
}

// needs refuses flags that were given without the one that they belong to.
func needs(cmd *cobra.Command, other string, names ...string) error {
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			return cli.Usagef("--%s needs --%s", name, other)
		}
	}
	return nil
}

// numaAuto is the default of --numa.
const numaAuto = "auto"

// persistentValues are the values of --persistent.
var persistentValues = map[string]string{"auto": engine.PersistentAuto, "on": engine.PersistentOn, "off": engine.PersistentOff}

// addLimits adds the launch limits that serving and measuring let the user choose.
func (f *deviceFlags) addLimits(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.IntVar(&f.settings.MaxSequences, "max-batch", 0, "sequences that run together (default 64)")
	flags.IntVar(&f.settings.MaxStepTokens, "max-step-tokens", 0, "tokens of one step at most (default 512)")
	flags.IntVar(&f.settings.MaxContext, "max-context", 0, "positions of one sequence at most (default: the model's)")
	flags.Var(&f.kvMemory, "kv-memory", "memory for the KV cache, such as 2G (default: what --gpu-memory-utilization leaves of a GPU, on the cpu a quarter of the machine's at most)")
	flags.Float64Var(&f.utilization, "gpu-memory-utilization", 0, "part of a GPU's free memory that weights, activations and KV cache may take together (default: 0.9)")
}

// resolved returns the settings after refusing what no device could take.
func (f *deviceFlags) resolved() (engine.Settings, error) {
	s := f.settings
	s.KVBytes, s.MemoryUtilization = int64(f.kvMemory), f.utilization
	if u := s.MemoryUtilization; !(u >= 0 && u <= 1) {
		return s, cli.Usagef("--gpu-memory-utilization is %v: must be above 0 and at most 1, or 0 for the default", u)
	}
	if err := runtime.CheckDevice(f.device); err != nil {
		return s, cli.Usagef("--device: %w", err)
	}
	if s.NUMA != numaAuto && s.NUMA != engine.NUMAOff {
		return s, cli.Usagef("--numa is %q: must be %s or %s", s.NUMA, numaAuto, engine.NUMAOff)
	}
	known := false
	if s.Persistent, known = persistentValues[f.persist]; !known {
		return s, cli.Usagef("--persistent is %q: must be auto, on or off", f.persist)
	}
	for _, limit := range []struct {
		flag  string
		value int
	}{{"threads", s.Threads}, {"max-batch", s.MaxSequences}, {"max-step-tokens", s.MaxStepTokens}, {"max-context", s.MaxContext}} {
		if limit.value < 0 {
			return s, cli.Usagef("--%s is %d: must be at least 1, or 0 for the default", limit.flag, limit.value)
		}
	}
	if err := f.rankFlags.check(f.device); err != nil {
		return s, err
	}
	s.Cards, s.Stages = f.cards, f.stages
	if f.several() && s.Threads == 0 {
		s.Threads = f.threads()
	}
	return s, nil
}

// makeRoom gives goroutines processors of their own in Go's books, beside those that workers hold even while they wait for one
// another: else a token that is ready is not written before a worker sleeps. The operating system shares out the real ones.
func (f *deviceFlags) makeRoom() {
	processors := goruntime.GOMAXPROCS(0)
	if f.settings.Threads == 0 {
		f.settings.Threads = max(1, processors/f.perNode())
	}
	goruntime.GOMAXPROCS(processors + f.settings.Threads)
}
