package cpu

import (
	"fmt"
	"runtime"
	"strings"

	"llmc/engine"
	"llmc/internal/sym"
	"llmc/runtime/device/cpu/kernel"
	"llmc/runtime/device/cpu/numa"
	"llmc/runtime/device/cpu/team"
	"llmc/runtime/device/limits"
)

// Device runs plans on this machine's processor: alone, or as one of several ranks.
type Device struct {
	Split *Split
	Nodes []numa.Node // of the machine's memory; nil: those that the system tells of
}

// Name returns "cpu".
func (Device) Name() string { return "cpu" }

// Load binds the plan's most demanding program that this machine can run, or settings.Target's.
func (d Device) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	m, err := d.begin(plan, settings.Target)
	if err != nil {
		return nil, err
	}
	settings.Target = m.main.program.Target
	load := m.load
	if m.split != nil {
		load = m.loadRanks
	}
	if err := plan.Guard(func() error { return load(settings) }); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// begin finds the programs of the target wanted, or of the best.
func (d Device) begin(plan *engine.Plan, wanted string) (*model, error) {
	target, err := chooseTarget(plan.Targets(plan.Main()), wanted)
	if err != nil {
		return nil, err
	}
	set, err := kernel.Find(target)
	if err != nil {
		return nil, err
	}
	m := &model{plan: plan, set: set, split: d.Split, device: d}
	programs, err := plan.Programs(target)
	if err != nil {
		return nil, err
	}
	for _, program := range programs {
		f := &function{program: program}
		m.functions = append(m.functions, f)
		if program.Func == plan.Main() {
			m.main = f
		}
	}
	return m, nil
}

// chooseTarget picks among the plan's targets. Where none runs here it names what the least demanding one needs.
func chooseTarget(built []string, wanted string) (string, error) {
	best, lacking := "", ""
	for _, t := range engine.Targets {
		if t.Device != "cpu" || !contains(built, t.Name) || wanted != "" && t.Name != wanted {
			continue
		}
		if missing := t.Missing(); len(missing) > 0 {
			if lacking == "" {
				lacking = fmt.Sprintf("target %s needs %s, which this processor lacks", t.Name, strings.Join(missing, ", "))
			}
			continue
		}
		best = t.Name
	}
	switch {
	case best != "":
		return best, nil
	case lacking != "":
		return "", fmt.Errorf("%s: build the plan for x86-64-v3 or another row of `llmc targets`", lacking)
	case wanted != "":
		return "", fmt.Errorf("the plan has no program for target %s, it has %s", wanted, strings.Join(built, ", "))
	}
	return "", fmt.Errorf("the plan has no program for a CPU, it has %s: build it with --arch native", strings.Join(built, ", "))
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}

// kvShareOfMemory: the cache takes at most this part of the memory that there is.
const kvShareOfMemory = 4

// load fills in the settings, takes the memory and binds the launches.
func (m *model) load(settings engine.Settings) error {
	if settings.PageSize == 0 {
		settings.PageSize = m.main.program.DefaultPageSize()
	}
	if settings.Drafts > 0 && m.main.program.KeepsState() {
		return engine.ErrNoDrafts
	}
	perToken, err := m.tokenBytes(settings.PageSize)
	if err != nil {
		return err
	}
	info := m.plan.Info()
	m.info = &info
	request := limits.Request{Settings: settings, Info: m.info, Whole: m.wholeSequences(), Texts: m.main.program.Encodes(), Adapters: m.takesAdapters(), TokenBytes: perToken,
		Threads: runtime.NumCPU(), KVMemory: machineMemory() / kvShareOfMemory}
	if m.settings, err = request.Fill(); err != nil {
		return err
	}
	return m.take()
}

// take takes the memory that the settings ask for and binds the launches.
func (m *model) take() (err error) {
	if err := m.planMoves(); err != nil {
		return err
	}
	m.places = m.device.newPlaces(&m.settings.Settings)
	if m.kv, err = newKVPool(m.caches(m.rank()), m.settings.PageSize, m.settings.Pages); err != nil {
		return err
	}
	m.places.share(m.kv.mem)
	env := sym.Bind(int64(m.settings.MaxStepTokens), int64(m.settings.MaxSequences), int64(m.settings.MaxRows), int64(m.settings.MaxContext))
	for _, f := range m.functions {
		if f.arena, f.views, err = newArena(f.program, env); err != nil {
			return err
		}
	}
	if m.split == nil {
		m.team, m.leave = team.Share(m.settings.Threads, m.places.workers())
	} else { // ranks of one process would wait for each other's
		m.team = team.New(m.settings.Threads, m.places.workers())
		m.leave = m.team.Close
	}
	m.state.workers = m.team.Workers()
	m.state.scratch = make([]*kernel.Scratch, m.state.workers)
	for w := range m.state.scratch {
		m.state.scratch[w] = kernel.NewScratch(m.headDim())
	}
	m.state.turn = make([]turnState, m.state.workers)
	m.work = m.runStep
	for _, f := range m.functions {
		if f.program.Func == engine.StepFunc && m.rank() == 0 {
			if f.sampler, err = newSampler(m, f); err != nil {
				return err
			}
		}
		if err := f.bindAll(m); err != nil {
			return fmt.Errorf("function %s: %w", f.program.Func, err)
		}
	}
	m.prepareAdapters()
	m.places.begin(m.functions)
	return nil
}

// headDim returns the largest head of any cache.
func (m *model) headDim() int {
	dim := 1
	for _, c := range m.main.program.Caches {
		if c.Kind != engine.State {
			dim = max(dim, c.Dim)
		}
	}
	return dim
}
