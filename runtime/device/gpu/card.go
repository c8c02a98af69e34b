package gpu

import (
	"fmt"
	"slices"
	"strings"

	"llmc/engine"
	"llmc/engine/partition"
	"llmc/internal/sym"
)

// Card is what must be known of a GPU and its driver before anything is loaded.
type Card struct {
	Name         string
	Capability   int                // compute capability, major*10 + minor
	Driver       engine.CUDAVersion // the newest CUDA that the driver serves
	Memory       int64              // bytes of it that are free
	SharedMemory int                // bytes that a CTA can have at most
	Cores        int                // multiprocessors on which CTAs can run that wait for each other; 0: not known, or none
}

func (c *Card) String() string {
	return fmt.Sprintf("%s (compute capability %s)", c.Name, capability(c.Capability))
}

func capability(n int) string { return fmt.Sprintf("%d.%d", n/10, n%10) }

// Choose returns the programs of the plan's functions for the target that fits a card best: the one made for exactly its capability, else the newest below,
// among those that its driver reads and its memory has room for, for as many cards as share the model. The settings' target, where there is one, is the only one to look at.
// The error says in one line why none runs.
func Choose(plan *engine.Plan, card Card, settings engine.Settings) ([]*engine.Program, error) {
	programs, _, err := choose(plan, card, settings, 0)
	return programs, err
}

// choose is Choose of the programs of a stage, where the settings say that there are several.
func choose(plan *engine.Plan, card Card, settings engine.Settings, number int) ([]*engine.Program, *partition.Stage, error) {
	var refusals []string
	wanted := settings.Target
	for _, name := range suited(plan.Targets(plan.Main()), wanted, card.Capability) {
		if settings.Cards > 1 && !slices.Contains(plan.Cards(name), settings.Cards) {
			refusals = append(refusals, noCards(plan, name, settings.Cards))
			continue
		}
		programs, err := plan.CardsPrograms(name, settings.Cards)
		if err != nil {
			return nil, nil, err
		}
		var stage *partition.Stage
		if settings.Stages > 1 {
			stages, err := Stages(plan, programs, settings.Stages)
			if err != nil {
				return nil, nil, err
			}
			stage = stages[number]
			programs = []*engine.Program{stage.Program}
		}
		refusal, err := card.refuse(plan, programs, settings.PageSize)
		if err != nil {
			return nil, nil, err
		}
		if refusal == "" {
			return programs, stage, nil
		}
		refusals = append(refusals, refusal)
	}
	if len(refusals) == 0 {
		return nil, nil, card.noProgram(plan.Targets(plan.Main()), wanted)
	}
	return nil, nil, fmt.Errorf("%v can not run the plan: %s", &card, strings.Join(refusals, "; "))
}

// noCards says that a target's programs are for other numbers of cards, and how to have them for this one.
func noCards(plan *engine.Plan, target string, cards int) string {
	have := "one GPU alone"
	for _, n := range plan.Cards(target) {
		have += fmt.Sprintf(", %d together", n)
	}
	return fmt.Sprintf("%s is built for %s, not for %d; build it with llmc build --arch %s --tp %d", target, have, cards, target, cards)
}

// suited lists the plan's GPU targets that a capability runs, best first.
func suited(built []string, wanted string, capability int) []string {
	var rows []engine.Target
	for _, name := range built {
		t, err := engine.FindTarget(name)
		if err != nil || wanted != "" && name != wanted || !t.RunsOn(capability) {
			continue
		}
		rows = append(rows, t)
	}
	slices.SortFunc(rows, func(a, b engine.Target) int { return b.SM - a.SM })
	var names []string
	for _, t := range rows {
		names = append(names, t.Name)
	}
	return names
}

// Targets lists the targets whose programs a compute capability runs, best first.
func Targets(capability int) []string {
	var all []string
	for _, t := range engine.Targets {
		if t.ServedBy == "" {
			all = append(all, t.Name)
		}
	}
	return suited(all, "", capability)
}

// Target is the name of the target that a program for the card is built for, "" if there is none.
func (c *Card) Target() (name string) {
	for _, t := range engine.Targets { // from the least to the most demanding
		if t.RunsOn(c.Capability) && (t.SM == c.Capability || t.ServedBy == "") {
			name = t.Name
		}
	}
	return name
}

// noProgram says what the plan holds and how to build what it lacks.
func (c *Card) noProgram(built []string, wanted string) error {
	var have []string
	for _, name := range built {
		if t, err := engine.FindTarget(name); err == nil && t.Exact {
			name += ", which runs on " + capability(t.SM) + " alone"
		}
		have = append(have, name)
	}
	what := "the plan has no program"
	if wanted != "" {
		what += " " + wanted
	}
	arch := c.Target()
	if arch == "" {
		least := slices.IndexFunc(engine.Targets, func(t engine.Target) bool { return t.Device == "cuda" })
		return fmt.Errorf("%s for %v: programs need %s or newer", what, c, capability(engine.Targets[least].SM))
	}
	return fmt.Errorf("%s for %v, it has %s: build it with llmc build --arch %s", what, c, strings.Join(have, "; "), arch)
}

// refuse says why the card can not run programs that are made for it, "" if it can.
func (c *Card) refuse(plan *engine.Plan, programs []*engine.Program, pageSize int) (string, error) {
	target := programs[0].Target
	text, err := plan.CardsPTX(target, programs[0].Cards)
	if err != nil {
		return "", err
	}
	version, err := engine.VersionOfPTX(text)
	if err != nil {
		return "", fmt.Errorf("code of target %s: %w", target, err)
	}
	driver, known := engine.DriverFor(version)
	switch shared := sharedMemory(programs); {
	case !known:
		return fmt.Sprintf("%s is PTX %v, newer than what is known of drivers; use a newer llmrun", target, version), nil
	case c.Driver < driver.CUDA:
		return fmt.Sprintf("%s is PTX %v, which needs driver %d or newer (CUDA %v), the one here is of CUDA %v", target, version, driver.Branch, driver.CUDA, c.Driver), nil
	case shared > c.SharedMemory:
		return fmt.Sprintf("%s needs %d bytes of shared memory in a block, it has %d", target, shared, c.SharedMemory), nil
	}
	weights, rest, err := leastMemory(plan, programs, pageSize)
	if err == nil && (weights > c.Memory || rest > c.Memory-weights) {
		return fmt.Sprintf("%s needs %.2f GiB for weights and %.2f GiB for activations and one KV page at least, it has %.2f GiB; build with a smaller --quant",
			target, gib(weights), gib(rest), gib(c.Memory)), nil
	}
	return "", err
}

func gib(bytes int64) float64 { return float64(bytes) / (1 << 30) }

// sharedMemory is the dynamic shared memory that a CTA of the programs takes at most.
func sharedMemory(programs []*engine.Program) int {
	most := 0
	for _, p := range programs {
		for i := range p.Launches {
			for _, c := range p.Launches[i].Code {
				most = max(most, c.Shared)
			}
		}
		for i := range p.Adapted {
			for _, c := range p.Adapted[i].Code {
				most = max(most, c.Shared)
			}
		}
	}
	return most
}

// leastMemory is what the programs' weights take, and what steps of one token with one page of KV do.
func leastMemory(plan *engine.Plan, programs []*engine.Program, pageSize int) (weights, rest int64, err error) {
	if weights, err = WeightBytes(plan, programs); err != nil {
		return 0, 0, err
	}
	settings := engine.Settings{PageSize: pageSize}
	setPageSize(&settings, programs[0]) // which all have the same caches
	p, err := newPool(programs[0], settings.PageSize)
	if err != nil {
		return 0, 0, err
	}
	list, model := sketch{}, Model{}
	model.setFunctions(programs)
	if err := takeSlots(&list, model.functions, sym.Bind(1, 1, 1, 1)); err != nil {
		return 0, 0, err
	}
	return weights, p.pageBytes + RangeBytes(list.ranges), nil
}
