//go:build cuda

package cuda_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/cuda"
	"llmc/runtime/device/cuda/emulated"
	"llmc/runtime/device/cuda/jit"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
)

// build compiles a checkpoint of the repository.
func build(t testing.TB, name, target, format string) *engine.Plan {
	t.Helper()
	return plantest.Build(t, name, compiler.Options{Quant: format, Archs: []string{target}})
}

// install puts an emulated driver of a card in place, or of so many.
func install(t testing.TB, target string, version engine.CUDAVersion, cards ...int) *emulated.Driver {
	t.Helper()
	t.Setenv(jit.Environment, jit.Off)
	card, err := emu.Impersonate(target, version)
	if err != nil {
		t.Fatal(err)
	}
	card.Memory = 4 << 30
	d := emulated.New(card)
	for _, n := range cards {
		d.Devices = n
	}
	if err := d.Install(); err != nil {
		t.Fatal(err)
	}
	return d
}

// returned wants nothing of the driver to be in use.
func returned(t *testing.T, d *emulated.Driver) {
	t.Helper()
	if n := d.InUse(); n != 0 {
		t.Errorf("%d things of the driver have not been given back", n)
	}
	if err := d.Fault(); err != nil {
		t.Errorf("a kernel failed: %v", err)
	}
}

// TestDevice runs what every device has to pass, through cu, on cards with no byte more than was planned, of which nothing is taken later.
func TestDevice(t *testing.T) {
	t.Run("schedules", func(t *testing.T) {
		d, plan := install(t, "sm80", 11080), build(t, "checkpoints/llama-yarn", "sm80", "bf16")
		devicetest.Schedules(t, full{t: t, driver: d}, plan, plan.Info().Vocab, 128, 1)
		returned(t, d)
		if c := d.Counts(); c.Replays < 20 || c.Captures >= c.Replays {
			t.Errorf("steps were not replayed: %+v", c)
		}
	})
	t.Run("sampling", func(t *testing.T) {
		d, plan := install(t, "sm80", 11080), build(t, "checkpoints/llama-yarn", "sm80", "bf16")
		device := full{t: t, driver: d}
		devicetest.Sampling(t, device, plan, plan.Info().Vocab, 128)
		devicetest.Pages(t, device, plan)
		devicetest.Moves(t, device, plan)
		returned(t, d)
	})
	t.Run("serving", func(t *testing.T) {
		d, plan := install(t, "sm90", 12040), build(t, "checkpoints/mistral-v5", "sm90", "int4")
		devicetest.Serve(t, full{t: t, driver: d}, plan)
		returned(t, d)
	})
	t.Run("functions", func(t *testing.T) {
		d, plan := install(t, "sm80", 11080), build(t, "checkpoints/llava-clip", "sm80", "bf16")
		devicetest.Functions(t, full{t: t, driver: d}, plan)
		returned(t, d)
	})
	t.Run("ahead", func(t *testing.T) {
		d, plan := install(t, "sm80", 11080), build(t, "checkpoints/llama-yarn", "sm80", "bf16")
		devicetest.Ahead(t, full{t: t, driver: d}, plan, plan.Info().Vocab, 128, 1)
		returned(t, d)
	})
}

// decoding is a step of one token for each of n sequences at a position, all sampled.
func decoding(n, position, vocab int) *engine.Step {
	s := &engine.Step{}
	s.Reset()
	for i := range n {
		s.IDs, s.Pages = append(s.IDs, int32((7*i+3*position+1)%vocab)), append(s.Pages, int32(i))
		s.EndSequence(position, 0, 16)
		row := s.NextRow()
		row.Sampling, row.Logits = &engine.Sampling{Logprobs: -1}, make([]float32, vocab)
		s.Rows = append(s.Rows, row)
	}
	return s
}

// TestReplayedStepsGiveTheSameBits wants the logits of the emulator from steps that are recorded and replayed, and from the same steps where there is
// no memory for recordings.
func TestReplayedStepsGiveTheSameBits(t *testing.T) {
	plan := build(t, "checkpoints/mistral-v5", "sm90", "int4")
	settings := engine.Settings{MaxStepTokens: 8, MaxSequences: 5, MaxContext: 16, PageSize: 16}
	vocab := plan.Info().Vocab
	run := func(device engine.Device) (logits [][]float32) {
		model, err := device.Load(plan, settings)
		if err != nil {
			t.Fatal(err)
		}
		defer model.Close()
		for position, n := range []int{5, 5, 4, 3, 2, 1, 1} {
			step := decoding(n, position, vocab)
			if err := model.Step(step, make([]engine.Sampled, n)); err != nil {
				t.Fatal(err)
			}
			for _, r := range step.Rows {
				logits = append(logits, r.Logits)
			}
		}
		return logits
	}
	want := run(emu.Device{})
	for _, full := range []bool{false, true} {
		version := engine.CUDAVersion(12020)
		if full {
			version = 12030
		}
		d := install(t, "sm90", version)
		d.Faults.NoGraphs = full
		if got := run(cuda.Device{}); !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("without room for graphs %v: logits are not those of the emulator", full)
		}
		returned(t, d)
		if c := d.Counts(); full && c.Replays != 0 || !full && (c.Replays != 4+7 || c.Captures != 3*4) { // buckets and steps; kinds of each bucket
			t.Errorf("without room for graphs %v: %+v", full, c)
		}
		if c := d.Counts(); (c.Early > 0) != (version == 12030) {
			t.Errorf("driver of CUDA %v: %d launches were started early", version, c.Early)
		}
	}
}

// TestPersistentEntry wants steps of few tokens to be one launch whose CTAs run together, recorded or not, with the logits of the launches; and launches
// where the card can not run CTAs together, or nobody asks for it.
func TestPersistentEntry(t *testing.T) {
	plan := build(t, "checkpoints/mistral-v5", "sm90", "int4")
	vocab := plan.Info().Vocab
	run := func(cores int, wanted string, full bool) (logits [][]float32, counts emulated.Counts) {
		d := install(t, "sm90", 12020)
		d.Card.Cores, d.Faults.NoGraphs = cores, full
		settings := engine.Settings{MaxStepTokens: 8, MaxSequences: 5, MaxContext: 16, PageSize: 16, Persistent: wanted}
		model, err := cuda.Device{}.Load(plan, settings)
		if err != nil {
			t.Fatal(err)
		}
		for position, n := range []int{5, 4, 1, 1} {
			step := decoding(n, position, vocab)
			if err := model.Step(step, make([]engine.Sampled, n)); err != nil {
				t.Fatal(err)
			}
			for _, r := range step.Rows {
				logits = append(logits, r.Logits)
			}
		}
		if err := model.Close(); err != nil {
			t.Fatal(err)
		}
		returned(t, d)
		return logits, d.Counts()
	}
	want, launches := run(0, "", false)
	if got, counts := run(3, "", false); !slices.EqualFunc(got, want, slices.Equal) || counts.Together == 0 {
		t.Errorf("left to the device: other logits, or nothing tried: %+v", counts)
	}
	for _, c := range []struct {
		cores    int
		wanted   string
		full     bool
		together int
	}{
		{3, "on", false, 12}, // three kinds of four buckets are recorded
		{2, "on", true, 4},
		{0, "", false, 0}, {3, "off", false, 0},
	} {
		got, counts := run(c.cores, c.wanted, c.full)
		if !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%+v: other logits", c)
		}
		if c.together > 0 && counts.Launches >= launches.Launches {
			t.Errorf("%+v: %d launches, %d without persistent entries", c, counts.Launches, launches.Launches)
		}
		if counts.Together != c.together {
			t.Errorf("%+v: %d launches together", c, counts.Together)
		}
	}
}

// TestOneCopyEachWay wants a step to be a copy of its arrays, a graph, a copy of what it found and one wait, however many are in flight.
func TestOneCopyEachWay(t *testing.T) {
	d, plan := install(t, "sm80", 12040), build(t, "checkpoints/llama-yarn", "sm80", "bf16")
	loaded, err := cuda.Device{}.Load(plan, engine.Settings{MaxStepTokens: 8, MaxSequences: 2, MaxContext: 32, PageSize: 16})
	if err != nil {
		t.Fatal(err)
	}
	model, vocab := loaded.(engine.Starter), plan.Info().Vocab
	const steps = 6
	var before emulated.Counts
	outs := make([][]engine.Sampled, steps+1)
	start := func(position int) {
		step := decoding(2, position, vocab)
		for i := range step.Rows {
			step.Rows[i].Logits = nil
			if position > 0 {
				step.IDs[i] = engine.FromRow(i)
			}
		}
		outs[position] = make([]engine.Sampled, 2)
		if err := model.Start(step, outs[position]); err != nil {
			t.Fatal(err)
		}
	}
	start(0)
	for position := range steps {
		if position == 1 {
			before = d.Counts()
		}
		start(position + 1)
		if err := model.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	after := d.Counts()
	const n = steps - 1
	if copies, waits, replays := after.Copies-before.Copies, after.Waits-before.Waits, after.Replays-before.Replays; copies != 2*n || waits != n || replays != n {
		t.Errorf("%d steps took %d copies, %d waits and %d graphs", n, copies, waits, replays)
	}
	if err := errors.Join(model.Wait(), model.Close()); err != nil {
		t.Error(err)
	}
	returned(t, d)
}

// TestProfile wants the time of every launch of a step from events of the driver, and steps to be replayed again behind it.
func TestProfile(t *testing.T) {
	d, plan := install(t, "sm90", 12020), build(t, "checkpoints/mistral-v5", "sm90", "int4")
	loaded, err := cuda.Device{}.Load(plan, engine.Settings{MaxStepTokens: 8, MaxSequences: 2, MaxContext: 16, PageSize: 16})
	if err != nil {
		t.Fatal(err)
	}
	model := loaded.(interface {
		engine.Profiler
		engine.StepTimer
		engine.Model
	})
	step, times, ran, loading := decoding(2, 0, plan.Info().Vocab), model.Launches(), 0, d.Counts()
	if err := model.Profile(step, make([]engine.Sampled, 2), times); err != nil {
		t.Fatal(err)
	}
	for _, l := range times {
		if l.Seconds > 0 {
			ran++
		} else if l.Seconds < 0 {
			t.Errorf("%+v", l)
		}
	}
	if c := d.Counts(); ran != c.Launches-loading.Launches || c.Captures != loading.Captures { // the last time is the host's and that of the beginning
		t.Errorf("%d launches have a time: %+v", ran-1, c)
	}
	if err := model.TimeSteps(true); err != nil {
		t.Fatal(err)
	}
	if err := model.Step(decoding(2, 1, plan.Info().Vocab), make([]engine.Sampled, 2)); err != nil || d.Counts().Replays != loading.Replays+1 {
		t.Errorf("%v: %+v", err, d.Counts())
	}
	if seconds, err := model.DeviceSeconds(); err != nil || !(seconds > 0) {
		t.Errorf("%v s on the device: %v", seconds, err)
	}
	if err := model.Close(); err != nil {
		t.Error(err)
	}
	returned(t, d)
}

// TestWhatIsMissing wants one line that says what is wrong with the machine, and whether there is a device at all.
func TestWhatIsMissing(t *testing.T) {
	plan := build(t, "checkpoints/llama-yarn", "sm80", "bf16")
	for _, c := range []struct {
		name   string
		row    string
		cuda   engine.CUDAVersion
		break_ func(*emulated.Driver)
		is     error
		want   string
	}{
		{"no GPU", "sm80", 12040, func(d *emulated.Driver) { d.Devices = 0 }, engine.ErrNoDevice, "sees no GPU"},
		{"a broken driver", "sm80", 12040, func(d *emulated.Driver) { d.Faults.Start = 803 }, engine.ErrNoDevice, "does not start: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)"},
		{"an old driver", "sm80", 11040, nil, engine.ErrNoDevice, "is of CUDA 11.4: programs need driver 520 or newer (CUDA 11.8)"},
		{"another card", "sm120", 13000, func(d *emulated.Driver) { d.Card.Capability = 75 }, nil, "the plan has no program for emulated sm120 (compute capability 7.5)"},
		{"little memory", "sm80", 12040, func(d *emulated.Driver) { d.Card.Memory = 17 << 20; d.Faults.OutOfMemory = 2 }, engine.ErrDeviceMemory, "out of device memory: emulated sm80: "},
		{"no memory", "sm80", 12040, func(d *emulated.Driver) { d.Card.Memory = 10 << 10 }, nil, "build with a smaller --quant"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := install(t, c.row, c.cuda)
			if c.break_ != nil {
				c.break_(d)
			}
			model, err := cuda.Device{}.Load(plan, engine.Settings{MaxSequences: 2, MaxStepTokens: 16, MaxContext: 64})
			if err == nil {
				model.Close()
				t.Fatal("the plan was loaded")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v; want %s", err, c.want)
			}
			returned(t, d)
		})
	}
}

// TestCubin wants code that the plan brings for exactly this card to be taken instead of the text, if the driver takes it.
func TestCubin(t *testing.T) {
	assembler := filepath.Join(t.TempDir(), "ptxas")
	// What the emulated driver takes for code, from a ptxas that NVIDIA did not make.
	const script = "#!/bin/sh\n[ \"$1\" = --version ] && { echo 'release 12.2, V12.2.140'; exit; }\n{ printf '\\177ELF'; cat module.ptx; } >module.cubin\n"
	if err := os.WriteFile(assembler, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	plan := plantest.Build(t, "checkpoints/llama-yarn", compiler.Options{Quant: "bf16", Archs: []string{"sm80"}, Cubin: true, PTXAS: assembler})
	for _, c := range []struct {
		capability int
		old        bool
		want       int
	}{{80, false, 1}, {86, false, 0}, {80, true, 0}} {
		d := install(t, "sm80", 12040)
		d.Card.Capability, d.Faults.OldCubins = c.capability, c.old
		model, err := cuda.Device{}.Load(plan, engine.Settings{MaxSequences: 2, MaxStepTokens: 16, MaxContext: 16})
		if err != nil {
			t.Fatal(err)
		}
		if err := model.Step(decoding(2, 0, plan.Info().Vocab), make([]engine.Sampled, 2)); err != nil {
			t.Error(err)
		}
		if err := model.Close(); err != nil {
			t.Error(err)
		}
		if n := d.Counts().Cubins; n != c.want {
			t.Errorf("capability %d, old %v: %d cubins were taken", c.capability, c.old, n)
		}
		returned(t, d)
	}
}

// TestLostDevice wants a failure of a kernel to say what was lost, and every later use to say it again.
func TestLostDevice(t *testing.T) {
	plan := build(t, "checkpoints/llama-yarn", "sm80", "bf16")
	d := install(t, "sm80", 12040)
	model, err := cuda.Device{}.Load(plan, engine.Settings{MaxSequences: 2, MaxStepTokens: 16, MaxContext: 64})
	if err != nil {
		t.Fatal(err)
	}
	d.Faults.Launch, d.Faults.Failure = d.Counts().Launches+40, 700
	vocab, failed := plan.Info().Vocab, 0
	for position := range 8 {
		if err := model.Step(decoding(2, position, vocab), make([]engine.Sampled, 2)); err != nil {
			failed++
			if !errors.Is(err, engine.ErrDeviceLost) || !strings.Contains(err.Error(), "emulated sm80: a step: CUDA_ERROR_ILLEGAL_ADDRESS (700)") {
				t.Errorf("step %d: %v", position, err)
			}
		} else if failed > 0 {
			t.Errorf("step %d ran on a lost device", position)
		}
	}
	if failed < 2 {
		t.Errorf("%d steps failed", failed)
	}
	if err := model.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
}
