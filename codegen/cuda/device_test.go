package cuda_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"llmc/engine"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
)

// hardware is what kernels run on instead of the emulator: "cuda", the GPU, or "emulated", NVIDIA's driver over the emulator. Both want build tag cuda.
var hardware = os.Getenv("LLMC_DEVICE")

// TestMain tells at the end which entries ran on hardware.
func TestMain(m *testing.M) {
	code := m.Run()
	for _, line := range covered.lines() {
		fmt.Println(line)
	}
	os.Exit(code)
}

// openDriver returns a driver to run kernels on, the emulator as the options say.
func openDriver(t testing.TB, options emu.Options) gpu.Driver {
	t.Helper()
	if hardware == "" {
		return emu.Open(options)
	}
	d, err := openHardware(hardware)
	check(t, err)
	return covering{d}
}

// theCard is the hardware's. It keeps its context for the whole run: making one takes a good part of a second.
var theCard = sync.OnceValues(func() (gpu.Card, error) {
	d, err := openHardware(hardware)
	if err != nil {
		return gpu.Card{}, err
	}
	return d.Card(), nil
})

// needs skips a test whose programs the hardware does not run.
func needs(t testing.TB, target string) {
	t.Helper()
	if hardware == "" {
		return
	}
	card, err := theCard()
	check(t, err)
	row, err := engine.FindTarget(target)
	check(t, err)
	if !row.RunsOn(card.Capability) {
		t.Skipf("SKIPPED: %v does not run programs of %s", &card, target)
	}
}

// needsDriver skips a test whose code the hardware's driver does not read.
func needsDriver(t testing.TB, ptx string) {
	t.Helper()
	if hardware == "" {
		return
	}
	card, err := theCard()
	check(t, err)
	version, err := engine.VersionOfPTX([]byte(ptx))
	check(t, err)
	if oldest, _ := engine.DriverFor(version); oldest.CUDA > card.Driver {
		t.Skipf("SKIPPED: a driver of CUDA %v does not read PTX %v", card.Driver, version)
	}
}

// load loads a plan on the emulator, as the options say, or on the hardware.
func load(t *testing.T, options emu.Options, plan *engine.Plan, settings engine.Settings) engine.Model {
	t.Helper()
	var model engine.Model
	var err error
	if hardware == "" {
		model, err = emu.Device{Options: options}.Load(plan, settings)
	} else {
		model, err = gpu.Load(plan, openDriver(t, options), settings)
	}
	check(t, err)
	return model
}

// covering is a driver that notes which entries it launches.
type covering struct{ gpu.Driver }

type coveringCode struct {
	gpu.Code
	target string
}

// coveringKernel is an entry with what it is called in the list.
type coveringKernel struct {
	gpu.Kernel
	name string
}

var targetOfPTX = regexp.MustCompile(`\.target\s+(\w+)`)

// Load implements gpu.Driver.
func (c covering) Load(ptx string) (gpu.Code, error) {
	code, err := c.Driver.Load(ptx)
	target := targetOfPTX.FindStringSubmatch(ptx)
	return coveringCode{code, target[len(target)-1]}, err
}

// Entry implements gpu.Code.
func (c coveringCode) Entry(name string) (gpu.Kernel, error) {
	k, err := c.Code.Entry(name)
	return coveringKernel{k, c.target + " " + familyOf(name)}, err
}

// Launch implements gpu.Driver.
func (c covering) Launch(l *gpu.Launch) error {
	k := l.Kernel.(coveringKernel)
	covered.add(fmt.Sprintf("%s, %d threads", k.name, l.Threads))
	own := *l
	own.Kernel = k.Kernel
	return c.Driver.Launch(&own)
}

var numbered = regexp.MustCompile(`^(.*?)_\d+(?:_to_(\d+))?$`)

// familyOf is an entry's kernel, and the largest step it is for if it has a limit. Entries that can be written at several sizes differ in their threads.
func familyOf(entry string) string {
	parts := numbered.FindStringSubmatch(entry)
	switch {
	case parts == nil:
		return entry
	case parts[2] != "":
		return fmt.Sprintf("%s to %s", parts[1], parts[2])
	}
	return parts[1]
}

// coverage counts launches by entry.
type coverage struct {
	mu       sync.Mutex
	launches map[string]int
}

var covered = coverage{launches: map[string]int{}}

func (c *coverage) add(entry string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.launches[entry]++
}

// lines is the list of what ran, for people and for whoever puts the lists of several runs together.
func (c *coverage) lines() []string {
	var lines []string
	for entry, n := range c.launches {
		lines = append(lines, fmt.Sprintf("COVERED %s, %d launches", entry, n))
	}
	slices.SortFunc(lines, strings.Compare)
	return lines
}

// TestCoverage wants every kernel to be on a list of what ran on hardware, which the runs of the other tests have left.
func TestCoverage(t *testing.T) {
	path := os.Getenv("LLMC_COVERED")
	if path == "" {
		t.Skip("SKIPPED: LLMC_COVERED names no list")
	}
	text, err := os.ReadFile(path)
	check(t, err)
	for i := range engine.Kernels {
		name := engine.Kernels[i].Name
		short, gpu := strings.CutPrefix(name, "cuda.")
		ran := regexp.MustCompile(`(?m)^COVERED sm_\w+ ` + regexp.QuoteMeta(short) + `( to \d+)?,`)
		if gpu && !ran.Match(text) {
			t.Errorf("%s has not run", name)
		}
	}
}
