package compiler_test

import (
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime/device/emu"
)

// visionEmulatedRuns are a format for each target, with what a plan of it may be off by, as on CPUs.
var visionEmulatedRuns = []struct {
	target, format string
	most           float64
}{{"sm80", "bf16", 4e-2}, {"sm89", "int8", 8e-2}, {"sm90", "bf16", 4e-2}}

// GPU programs give what was recorded of images and texts, each alone the same bits as among others, and every value of all functions that the interpreter
// makes.
func TestVisionEmulated(t *testing.T) {
	for n, name := range visionDirs {
		for i, run := range visionEmulatedRuns {
			if !inTurn(n, i) {
				continue
			}
			t.Run(run.target+"/"+run.format+"/"+name, func(t *testing.T) {
				s := openSeen(t, name)
				options := compiler.Options{Quant: run.format, Archs: []string{run.target}}
				plan, model := s.openOn(t, emu.Device{}, options, engine.Settings{MaxSequences: 4, Threads: 2})
				images := s.images(t, plan, model, run.most)
				if len(s.Texts) > 0 {
					s.compare(t, plan.Info().Encoder, images, s.texts(t, plan, model, run.most), run.most)
				}
				v, err := compiler.Against(t.Context(), plan, model.(engine.Tracer), compiler.Original{Dir: s.dir})
				check(t, err)
				if !v.OK || !(v.MaxErr <= 2e-2) {
					t.Errorf("%+v", *v)
				}
			})
		}
	}
}
