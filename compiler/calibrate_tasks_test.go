package compiler_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"llmc/compiler"
	"llmc/compiler/calib"
	"llmc/engine"
)

// answered counts the tasks whose right answers a plan gives when it takes the likeliest token each time. Each is read in one go: up to the first token that is another
// one, it is what the model would have read anyway.
func answered(t *testing.T, path string, prompts, answers [][]int32) (right int) {
	t.Helper()
	model, err := openPlan(path, engine.Settings{MaxStepTokens: 128, MaxSequences: 1, MaxRows: 64, MaxContext: 128, Threads: 1})
	check(t, err)
	defer model.Close()
	for i, prompt := range prompts {
		good := true
		first := len(prompt) - 1
		ids := slices.Concat(prompt, answers[i][:len(answers[i])-1])
		check(t, engine.Forward(model, 1024, ids, func(p int) bool { return p >= first }, func(p int, logits []float32) error {
			good = good && logits[answers[i][p-first]] == slices.Max(logits)
			return nil
		}))
		if good {
			right++
		}
	}
	return right
}

// TestInt4KeepsTheDemosTasks: of the tasks that the demo model answers right in f32, a plan in int4 that was calibrated on others answers at least 99 of 100.
func TestInt4KeepsTheDemosTasks(t *testing.T) {
	if os.Getenv("LLMC_LONG") == "" {
		t.Skip("SKIPPED: LLMC_LONG=1 runs it")
	}
	data, err := os.ReadFile("../testdata/demo/tasks.json")
	check(t, err)
	var tasks []struct {
		Answer  string
		Output  string  `json:"f32_output"`
		Prompt  []int32 `json:"prompt_ids"`
		Written []int32 `json:"output_ids"`
	}
	check(t, json.Unmarshal(data, &tasks))
	var prompts, answers [][]int32
	for i := len(demoTasks(t)); i < len(tasks); i++ {
		if task := tasks[i]; task.Output == task.Answer {
			prompts, answers = append(prompts, task.Prompt), append(answers, task.Written)
		}
	}
	dir := t.TempDir()
	for _, method := range calib.Methods {
		if method.Largest {
			continue
		}
		out := filepath.Join(dir, method.Name)
		calibratedBuild(t, out, method.Name, compiler.Options{Quant: "int4"})
		right := answered(t, out, prompts, answers)
		t.Logf("%s: %d of %d", method.Name, right, len(prompts))
		if method.Name == "gptq" && right < len(prompts)*99/100 {
			t.Errorf("%d of %d tasks are answered right", right, len(prompts))
		}
	}
}
