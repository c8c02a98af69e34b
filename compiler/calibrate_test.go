package compiler_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime/device/cpu"
)

// openPlan loads a plan for a build, and closes both together.
func openPlan(path string, settings engine.Settings) (engine.PartTracer, error) {
	plan, err := engine.Open(path)
	if err != nil {
		return nil, err
	}
	model, err := cpu.Device{}.Load(plan, settings)
	if err != nil {
		return nil, err
	}
	return tracerOfPlan{model.(engine.PartTracer), plan}, nil
}

type tracerOfPlan struct {
	engine.PartTracer
	plan *engine.Plan
}

func (t tracerOfPlan) Close() error { _ = t.PartTracer.Close(); return t.plan.Close() }

// demoTask is a conversation of two messages.
type demoTask struct{ Prompt, Answer string }

// demoTasks are enough for five windows.
func demoTasks(t *testing.T) []demoTask { return allDemoTasks(t)[:75] }

func allDemoTasks(t *testing.T) []demoTask {
	t.Helper()
	data, err := os.ReadFile("../testdata/demo/tasks.json")
	check(t, err)
	var tasks []demoTask
	check(t, json.Unmarshal(data, &tasks))
	return tasks
}

// demoText is what the demo model was trained to read and write.
func demoText(t *testing.T) string {
	t.Helper()
	return textOf(demoTasks(t))
}

func textOf(tasks []demoTask) string {
	var text strings.Builder
	for _, task := range tasks {
		text.WriteString("<|im_start|>user\n" + task.Prompt + "<|im_end|>\n<|im_start|>assistant\n" + task.Answer + "<|im_end|>\n")
	}
	return text.String()
}

func calibratedBuild(t *testing.T, out, method string, o compiler.Options) *compiler.Report {
	t.Helper()
	o.Model, o.Out, o.Archs = "../testdata/demo", out, []string{"x86-64-v3"}
	o.Calibration = &compiler.Calibration{Text: demoText(t), Method: method, Open: openPlan}
	report, err := compiler.Build(t.Context(), o)
	check(t, err)
	return report
}

// TestCalibrationLosesLess builds a trained model with both methods, in groups of 4 bits, rows of 8, and these with narrow inputs, for which the model is turned: outputs are off by less, and what it makes of
// text that it was not calibrated on comes nearer to the unquantized model. At 8 bits much of the divergence is not that of weights.
func TestCalibrationLosesLess(t *testing.T) {
	for format, most := range map[string]float64{"int4-g64": 0.8, "int8": 1.2, "int8-w8a8": 1.2} {
		t.Run(format, func(t *testing.T) { testCalibrationLosesLess(t, format, most) })
	}
}

func testCalibrationLosesLess(t *testing.T, format string, most float64) {
	dir := t.TempDir()
	gptq := calibratedBuild(t, filepath.Join(dir, "gptq.plan"), "gptq", compiler.Options{Quant: format})
	rtn := calibratedBuild(t, filepath.Join(dir, "rtn.plan"), "rtn", compiler.Options{Quant: format})
	for _, r := range []*compiler.Report{gptq, rtn} {
		if q := r.Accuracy.Text; q == nil || r.Accuracy.WorstOutput == nil || q.Tokens < 256 {
			t.Fatalf("report %+v", r.Accuracy)
		}
		t.Logf("%s: perplexity %.4f of %.4f, divergence %.5f, worst output %.4f", r.Accuracy.Method, r.Accuracy.Text.PPL, *r.Accuracy.Text.PPLRef, *r.Accuracy.Text.KL, r.Accuracy.WorstOutput.Output)
	}
	if a, b := *gptq.Accuracy.Text.KL, *rtn.Accuracy.Text.KL; !(a < most*b) {
		t.Errorf("divergence is %g by gptq and %g by rtn", a, b)
	}
	if a, b := gptq.Accuracy.WorstOutput, rtn.Accuracy.WorstOutput; a.Format != format || !(a.Output < 0.7*b.Output) {
		t.Errorf("worst output is %+v by gptq and %+v by rtn", a, b)
	}
	plan, err := engine.Open(filepath.Join(dir, "gptq.plan"))
	check(t, err)
	defer plan.Close()
	if v := verifiedPlan(t, cpu.Device{}, plan, "../testdata/demo"); !v.OK {
		t.Errorf("verification: %+v", v)
	}
	_, err = compiler.Refit(t.Context(), compiler.RefitOptions{Plan: plan.Path(), Model: "../testdata/demo", Out: filepath.Join(dir, "other.plan")})
	if err == nil || !strings.Contains(err.Error(), "--calib") {
		t.Errorf("refit: %v", err)
	}
	left, err := os.ReadDir(dir)
	check(t, err)
	if len(left) != 2 {
		t.Errorf("files left behind: %v", left)
	}
}

// brokenTracer fails after some parts of steps, as a build does that is stopped.
type brokenTracer struct {
	engine.PartTracer
	left *int
}

func (t brokenTracer) TracePart(step *engine.Step, first, last int, before, room []byte, visit func(string, [][]float32), places func(string, []int32)) ([]byte, error) {
	if *t.left--; *t.left < 0 {
		return nil, errors.New("broken off")
	}
	return t.PartTracer.TracePart(step, first, last, before, room, visit, places)
}

// TestCalibratedPlansAreAlwaysTheSame, whatever the number of threads, and when the build was broken off in between and goes on from what it has kept.
func TestCalibratedPlansAreAlwaysTheSame(t *testing.T) {
	dir := t.TempDir()
	one, again := filepath.Join(dir, "one"), filepath.Join(dir, "again")
	calibratedBuild(t, one, "", compiler.Options{Quant: "int4", Threads: 1})
	a, err := os.ReadFile(one)
	check(t, err)
	const parts = 60 // fewer than it takes, more than the first stops do
	left, state := parts, filepath.Join(dir, "state")
	o := compiler.Options{Model: "../testdata/demo", Out: again, Quant: "int4", Archs: []string{"x86-64-v3"}, Threads: 3}
	o.Calibration = &compiler.Calibration{Text: demoText(t), State: state, Open: func(path string, settings engine.Settings) (engine.PartTracer, error) {
		tracer, err := openPlan(path, settings)
		return brokenTracer{tracer, &left}, err
	}}
	if _, err := compiler.Build(t.Context(), o); err == nil || !strings.Contains(err.Error(), "broken off") {
		t.Fatalf("broken off: %v", err)
	}
	other := o
	other.Quant = "int4-g64"
	if _, err := compiler.Build(t.Context(), other); err == nil || !strings.Contains(err.Error(), "of another build") {
		t.Errorf("another build goes on there: %v", err)
	}
	left = 1 << 20
	_, err = compiler.Build(t.Context(), o)
	check(t, err)
	if b, err := os.ReadFile(again); err != nil || !bytes.Equal(a, b) {
		t.Errorf("a build on other threads, that was broken off, gives another plan (%v)", err)
	}
	if _, err := os.Stat(state); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was kept is still there: %v", err)
	}
}

func TestCalibrationThatCanNotBe(t *testing.T) {
	gate, err := compiler.ParseGate("kl<=0.000001")
	check(t, err)
	for name, c := range map[string]struct {
		o    compiler.Options
		text string
		want string
	}{
		"short":  {compiler.Options{Model: "../testdata/demo"}, "a few words", "tokens, at least 2048 are needed"},
		"method": {compiler.Options{Model: "../testdata/demo"}, "", "gptq, gptq-tuned, gptq-apart, rtn"},
		"gate":   {compiler.Options{Model: "../testdata/demo", Quant: "int4-g128", Gate: gate}, demoText(t), "worst outputs are of"},
		"inputs": {compiler.Options{Model: "../testdata/demo", Quant: "int4"}, demoText(t), "are not rounded to 8 bits"},
		"kind":   {compiler.Options{Model: "../testdata/checkpoints/roberta-score"}, "", "models that generate"},
	} {
		dir := t.TempDir()
		o := c.o
		o.Out, o.Archs, o.Calibration = filepath.Join(dir, "x.plan"), []string{"x86-64-v3"}, &compiler.Calibration{Text: c.text, Open: openPlan}
		if name == "method" {
			o.Calibration.Method = "best"
		}
		if name == "inputs" {
			o.Calibration.Method = "smoothquant"
		}
		_, err := compiler.Build(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: files left behind: %v, %v", name, left, err)
		}
	}
}

// TestConversationsAreRendered: the text of the other tests is what the template makes of these.
func TestConversationsAreRendered(t *testing.T) {
	var lines strings.Builder
	for _, task := range demoTasks(t) {
		text, err := json.Marshal(map[string]any{"messages": []map[string]string{{"role": "user", "content": task.Prompt}, {"role": "assistant", "content": task.Answer}}})
		check(t, err)
		lines.WriteString(string(text) + "\n")
	}
	dir := t.TempDir()
	plain := calibratedBuild(t, filepath.Join(dir, "plain"), "rtn", compiler.Options{Quant: "int4-g128"})
	o := compiler.Options{Model: "../testdata/demo", Out: filepath.Join(dir, "chat"), Quant: "int4-g128", Archs: []string{"x86-64-v3"},
		Calibration: &compiler.Calibration{Text: lines.String(), Conversations: true, Method: "rtn", Open: openPlan}}
	chat, err := compiler.Build(t.Context(), o)
	check(t, err)
	if a, b := *plain.Accuracy.Text, *chat.Accuracy.Text; a.PPL != b.PPL || a.Tokens != b.Tokens {
		t.Errorf("perplexity %g of %d tokens, %g of %d of the rendered text", b.PPL, b.Tokens, a.PPL, a.Tokens)
	}
	o.Calibration.Text = "{}\n"
	if _, err := compiler.Build(t.Context(), o); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a line without messages: %v", err)
	}
}
