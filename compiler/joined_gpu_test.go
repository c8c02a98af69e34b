package compiler_test

import (
	"slices"
	"testing"

	"llmc/compiler"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/runtime/device/emu"
)

// GPU programs give the logits that were recorded of prompts with images, with two and with none, and every value of both functions that the interpreter makes.
func TestJoinedEmulated(t *testing.T) {
	n := 0
	for _, family := range models.Joined() {
		for _, name := range joinedDirs[family] {
			n++
			for i, run := range visionEmulatedRuns {
				if !inTurn(n, i) {
					continue
				}
				t.Run(run.target+"/"+run.format+"/"+name, func(t *testing.T) {
					g := openTold(t, name)
					options := compiler.Options{Quant: run.format, Archs: []string{run.target}}
					loaded := g.openOn(t, emu.Device{}, options, engine.Settings{MaxSequences: 1, MaxRows: 64, Threads: 2})
					g.hold(t, loaded, run.most)
					if n > 1 && !thorough() {
						return
					}
					v, err := compiler.Against(t.Context(), loaded.Plan, loaded.Model.(engine.Tracer), compiler.Original{Dir: g.dir})
					check(t, err)
					if !v.OK {
						t.Errorf("%+v", *v)
					}
				})
			}
		}
	}
}

// What a prompt with images gives has the same bits whatever the schedule: also where the next step is queued while one runs, and where steps come as long as their
// bucket.
func TestImagesDoNotDependOnTheScheduleEmulated(t *testing.T) {
	list := schedules(56 << 10)
	for i, target := range emulatedTargets {
		t.Run(target, func(t *testing.T) {
			some := slices.Clone(list)
			if !thorough() {
				if some = some[:2]; i > 0 {
					t.Skip("SKIPPED: LLMC_LONG=1 runs every target, and every schedule")
				}
				some[1].copies = 1 // of three prompts
			}
			openTold(t, "llava-clip").holdSchedules(t, emu.Device{Pad: true}, compiler.Options{Quant: "bf16", Archs: []string{target}}, some, 0.2)
		})
	}
}
