package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"llmc/engine"
	"llmc/internal/clitest"
	"llmc/runtime"
)

// draftedJSON is what generate says with --draft.
type draftedJSON struct {
	generatedJSON
	Draft *struct {
		Tokens   int `json:"draft_tokens"`
		Accepted int `json:"accepted_tokens"`
	}
}

// demoTasks returns prompts that the bundled model was trained for.
func demoTasks(t *testing.T, n int) (prompts [][]int32) {
	t.Helper()
	data, err := os.ReadFile("../../testdata/demo/tasks.json")
	if err != nil {
		t.Fatal(err)
	}
	var tasks []struct {
		IDs []int32 `json:"prompt_ids"`
	}
	if err := json.Unmarshal(data, &tasks); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		prompts = append(prompts, tasks[i*len(tasks)/n].IDs)
	}
	return prompts
}

// TestGenerateWithDrafts wants the tokens that come without guesses, greedy and sampled, and guesses that were right among those that were made.
func TestGenerateWithDrafts(t *testing.T) {
	plan := buildDemo(t, "")
	right := map[string]int{}
	for i, prompt := range demoTasks(t, 6) {
		args := []string{"generate", plan, "--tokens", strings.Trim(strings.ReplaceAll(fmt.Sprint(prompt), " ", ","), "[]"), "--max-tokens", "60", "--ignore-eos", "--json",
			"--temperature", fmt.Sprint(i % 2), "--seed", "7"}
		var plain draftedJSON
		clitest.Run(t, "", args...).JSON(t, &plain)
		if plain.Draft != nil {
			t.Errorf("guesses without --draft: %+v", *plain.Draft)
		}
		for _, draft := range []string{"ngram", plan} {
			var got draftedJSON
			clitest.Run(t, "", append(args, "--draft", draft)...).JSON(t, &got)
			if !slices.Equal(got.Tokens, plain.Tokens) || got.Text != plain.Text {
				t.Errorf("prompt %d, --draft %s: %v, want %v", i, draft, got.Tokens, plain.Tokens)
			}
			if got.Draft == nil || got.Draft.Accepted > got.Draft.Tokens {
				t.Fatalf("prompt %d, --draft %s: %+v", i, draft, got.Draft)
			}
			right[draft] += got.Draft.Accepted
		}
	}
	if right["ngram"] == 0 {
		t.Errorf("no guess was right: %v", right)
	}
}

// TestServeWithDrafts wants a server that guesses to answer as one that does not, and to count its guesses.
func TestServeWithDrafts(t *testing.T) {
	plan := buildDemo(t, "")
	answers := map[string]string{}
	for _, draft := range []string{"", "ngram", plan} {
		args := []string{"serve", plan, "--port", "0"}
		if draft != "" {
			args = append(args, "--draft", draft, "--draft-tokens", "5")
		}
		cmd := clitest.Command(args...)
		address, lines := startServer(t, cmd)
		body := fmt.Sprintf(`{"prompt":%s,"max_tokens":80,"ignore_eos":true,"temperature":0}`, mustJSON(t, demoTasks(t, 4)))
		answers[draft] = ask(t, "POST", address+"/v1/completions", body)
		counts := ask(t, "GET", address+"/metrics", "")
		none := strings.Contains(counts, `vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="demo"} 0`)
		if !strings.Contains(counts, "vllm:spec_decode_num_accepted_tokens_total") || draft == "" && !none || draft == "ngram" && none {
			t.Errorf("--draft %s: no guesses, or some without --draft", draft)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // to the end, so that the process can write
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	}
	for draft, answer := range answers {
		if answer != answers[""] {
			t.Errorf("--draft %s: %s, want %s", draft, answer, answers[""])
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// ask returns the body of an answer; of a completion, its texts alone.
func ask(t *testing.T, method, url, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %v %s", url, err, data)
	}
	if method == "GET" {
		return string(data)
	}
	var answer struct{ Choices []struct{ Text string } }
	if err := json.Unmarshal(data, &answer); err != nil || len(answer.Choices) == 0 {
		t.Fatalf("%v: %s", err, data)
	}
	return fmt.Sprint(answer.Choices)
}

func TestBenchWithDrafts(t *testing.T) {
	plan := buildDemo(t, "")
	var rows []map[string]float64
	clitest.Run(t, "", "bench", plan, "--prompt", "20", "--gen", "40", "--batch", "1,2", "--repeat", "1", "--draft", "ngram", "--text", "../../testdata/demo/tasks.json", "--json").JSON(t, &rows)
	if len(rows) != 2 {
		t.Fatalf("rows %v", rows)
	}
	for _, key := range []string{"batch", "prompt", "gen", "prefill_tps", "decode_tps", "plain_decode_tps", "draft_tokens", "accepted_tokens", "peak_rss"} {
		if _, has := rows[0][key]; !has {
			t.Errorf("no %s in %v", key, rows[0])
		}
	}
}

// TestBothPlansHoldAsManyTokens wants the memory for KV pages to be divided by what pages take.
func TestBothPlansHoldAsManyTokens(t *testing.T) {
	if os.Getenv(buildArch) != "" {
		t.Skip("the plans are loaded in this process, on its processor")
	}
	own, draft := buildDemo(t, ""), buildDemo(t, "checkpoints/qwen3-v5")
	const all = 3 << 20
	ownBytes, draftBytes, err := runtime.ShareKV(all, own, draft, "cpu", engine.Settings{})
	if err != nil || ownBytes == draftBytes || ownBytes+draftBytes > all {
		t.Fatal(ownBytes, draftBytes, err)
	}
	pages := func(path string, bytes int64) int {
		loaded, err := runtime.Load(path, "cpu", engine.Settings{KVBytes: bytes, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer loaded.Close()
		_, pages := loaded.Model.Limits()
		return pages
	}
	a, b := pages(own, ownBytes), pages(draft, draftBytes)
	if left := all - ownBytes - draftBytes; a != b || int64(a)*left >= ownBytes+draftBytes {
		t.Errorf("%d and %d pages, %d bytes left over", a, b, left)
	}
	if _, _, err := runtime.ShareKV(1, own, draft, "cpu", engine.Settings{}); err == nil {
		t.Error("pages within a byte")
	}
}
