package compiler_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/ir/grad"
)

// TestTuningIsTheSameForAnyThreads builds a tuned plan with one thread and with two: the same bytes, which are not those of codes with the scales that they were chosen with.
func TestTuningIsTheSameForAnyThreads(t *testing.T) {
	var plans [][]byte
	for _, o := range []struct {
		method  string
		threads int
	}{{"gptq-tuned", 1}, {"gptq-tuned", 2}, {"gptq", 2}} {
		out := filepath.Join(t.TempDir(), "x.plan")
		calibratedBuild(t, out, o.method, compiler.Options{Quant: "int4-g32", Threads: o.threads})
		data, err := os.ReadFile(out)
		check(t, err)
		plans = append(plans, data)
	}
	if !bytes.Equal(plans[0], plans[1]) {
		t.Error("two threads give another plan than one")
	}
	if weights := len(plans[2]) / 2; bytes.Equal(plans[0][weights:], plans[2][weights:]) {
		t.Error("no scale was moved")
	}
}

// TestTuningComesNearer tunes a trained model on text like that of its training: on what is held out of it, it diverges less.
func TestTuningComesNearer(t *testing.T) {
	if os.Getenv("LLMC_LONG") == "" {
		t.Skip("SKIPPED: LLMC_LONG=1 runs it")
	}
	text := textOf(allDemoTasks(t))
	for _, format := range []string{"int4-g128", "int4-g32-zp"} {
		losses := map[string]float64{}
		for _, method := range []string{"gptq", "gptq-tuned"} {
			report, err := compiler.Build(t.Context(), compiler.Options{Model: "../testdata/demo", Out: filepath.Join(t.TempDir(), "x.plan"), Archs: []string{"x86-64-v3"}, Quant: format,
				Calibration: &compiler.Calibration{Text: text, Method: method, Open: openPlan}})
			check(t, err)
			losses[method] = *report.Accuracy.Text.KL
		}
		t.Logf("%s: %v", format, losses)
		if losses["gptq-tuned"] > 0.99*losses["gptq"] {
			t.Errorf("%s: %v", format, losses)
		}
	}
}

// Models that can not be differentiated are refused before anything is run.
func TestTuningIsRefused(t *testing.T) {
	seed := uint64(5)
	_, err := compiler.Build(t.Context(), compiler.Options{Model: mixtureDir(t), Random: &seed, Quant: "int4-g32", Out: filepath.Join(t.TempDir(), "x.plan"), Archs: []string{"x86-64-v3"},
		Calibration: &compiler.Calibration{Text: demoText(t), Method: "gptq-tuned", Open: openPlan}})
	if err == nil || !strings.Contains(err.Error(), "has no derivative; take --method gptq") {
		t.Errorf("%v", err)
	}
}

// TestTapesGiveTheGoldens runs checkpoints by what differentiates them: the logits that transformers gives, of all positions where they are there, else of the last.
func TestTapesGiveTheGoldens(t *testing.T) {
	ran := 0
	for _, g := range checkpoints(t) {
		c, err := hf.Open(g.dir)
		check(t, err)
		m, err := models.Import(c, models.Options{KV: dtype.F32})
		check(t, err)
		f, p := m.Module.Func(engine.StepFunc), g.Prompts[2]
		if grad.Check(f) == nil {
			ran++
			t.Run(filepath.Base(g.dir), func(t *testing.T) {
				size, err := grad.Size(f, len(p.IDs))
				check(t, err)
				tape, err := grad.New(f, len(p.IDs), 2, make([]float32, size))
				check(t, err)
				logits, err := tape.Forward(compiler.CheckpointRows(c), p.IDs)
				check(t, err)
				got, want := logits.Data, p.Name+".logits_all"
				if g.tensors.Tensor(want) == nil {
					got, want = logits.Row(len(p.IDs)-1, logits.Stride), p.Name+".logits"
				}
				if most, _ := relative(got, g.tensor(t, want)); !(most <= 1e-4) {
					t.Errorf("logits are off by %.2g of their range", most)
				}
			})
		}
		check(t, c.Close())
	}
	if ran < 10 {
		t.Errorf("%d checkpoints have derivatives", ran)
	}
}
