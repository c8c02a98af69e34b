package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"llmc/internal/clitest"
)

func TestMain(m *testing.M) { clitest.Main(m, main) }

// buildArch is the environment's name for the target that plans are built for, where it is not this machine: so all tests can run on another device.
const buildArch = "LLMC_TEST_ARCH"

// buildDemo compiles a model; without a name, the bundled one.
func buildDemo(t *testing.T, model string) string {
	t.Helper()
	if model == "" {
		model = "demo"
	}
	out := filepath.Join(t.TempDir(), "demo.plan")
	build, _ := builds.LoadOrStore(model, sync.OnceValues(func() ([]byte, error) { return buildOnce(model, out) }))
	plan, err := build.(func() ([]byte, error))()
	if err == nil {
		err = os.WriteFile(out, plan, 0o644) // a file of its own: some tests cut it short
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// builds has a func() ([]byte, error) for each model: its plan, built when it is first asked for.
var builds sync.Map

// buildOnce builds a plan at out and reads it.
func buildOnce(model, out string) ([]byte, error) {
	// The serving side does not import the compiler: it is run, as by a user.
	args := []string{"run", "-ldflags", "-s -w", "llmc/cmd/llmc", "build", "../../testdata/" + model, "-o", out}
	if arch := os.Getenv(buildArch); arch != "" {
		args = append(args, "--arch", arch, "--no-fallback")
	}
	if text, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return os.ReadFile(out)
}

type generatedJSON struct {
	Tokens  []int32
	Text    string
	Prompt  []int32 `json:"prompt_tokens"`
	Timings map[string]float64
}

func TestGenerate(t *testing.T) {
	plan := buildDemo(t, "")
	var one, other generatedJSON
	clitest.Run(t, "", "generate", plan, "--tokens", "1,2,3", "--max-tokens", "5", "--ignore-eos", "--threads", "1", "--json").JSON(t, &one)
	if len(one.Tokens) != 5 || !slices.Equal(one.Prompt, []int32{1, 2, 3}) {
		t.Errorf("generated %+v", one)
	}
	for _, name := range []string{"load_s", "prefill_s", "decode_s"} {
		if _, has := one.Timings[name]; !has {
			t.Errorf("no %s in %v", name, one.Timings)
		}
	}
	// More threads than there may be processors give the same tokens.
	clitest.Run(t, "", "generate", plan, "--tokens", "1,2,3", "--max-tokens", "5", "--ignore-eos", "--threads", "7", "--json").JSON(t, &other)
	if !slices.Equal(one.Tokens, other.Tokens) || one.Text != other.Text {
		t.Errorf("1 thread: %+v; 7 threads: %+v", one, other)
	}
	if text := clitest.Run(t, "", "generate", plan, "--chat", "Hello", "--max-tokens", "5").Done(t); !strings.HasSuffix(text, "\n") || len(text) < 2 {
		t.Errorf("streamed %q", text)
	}
}

func TestGenerateWithoutTokenizer(t *testing.T) {
	plan := buildDemo(t, "checkpoints/qwen3-v5")
	var g generatedJSON
	clitest.Run(t, "", "generate", plan, "--tokens", "1,2,3", "--max-tokens", "4", "--ignore-eos", "--json").JSON(t, &g)
	if len(g.Tokens) != 4 || g.Text != "" {
		t.Errorf("generated %+v", g)
	}
	clitest.Run(t, "", "generate", plan, "--prompt", "x").Refused(t, 1, "the plan has no tokenizer")
}

func TestLines(t *testing.T) {
	plan := buildDemo(t, "")
	ids := clitest.Run(t, "\"Hello\"\n{}\n", "tokenize", plan, "--json").Done(t)
	lines := strings.SplitAfter(ids, "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "[") || !strings.HasPrefix(lines[1], `{"error":"`) {
		t.Fatalf("tokenize: %q", ids)
	}
	if back := clitest.Run(t, lines[0], "detokenize", plan, "--skip-special", "--json").Done(t); back != "\"Hello\"\n" {
		t.Errorf("detokenize: %q", back)
	}
	if text := clitest.Run(t, `{"messages":[{"role":"user","content":"Hi"}]}`, "chat", plan, "--render", "--json").Done(t); !strings.HasPrefix(text, `"`) {
		t.Errorf("render: %q", text)
	}
}

func TestLogitsAndBench(t *testing.T) {
	plan := buildDemo(t, "")
	var last, all struct{ Logits [][]float32 }
	clitest.Run(t, "", "logits", plan, "--tokens", "1,2,3", "--json").JSON(t, &last)
	clitest.Run(t, "", "logits", plan, "--tokens", "1,2,3", "--all", "--json").JSON(t, &all)
	if len(last.Logits) != 1 || len(all.Logits) != 3 || !slices.Equal(last.Logits[0], all.Logits[2]) {
		t.Errorf("%d rows and %d rows, or the last differ", len(last.Logits), len(all.Logits))
	}
	var rows []map[string]float64
	profile := filepath.Join(t.TempDir(), "profile")
	clitest.Run(t, "", "bench", plan, "--prompt", "8", "--gen", "2", "--batch", "1,2", "--repeat", "1", "--profile", profile, "--json").JSON(t, &rows)
	if len(rows) != 2 {
		t.Fatalf("rows %v", rows)
	}
	for _, key := range []string{"batch", "prompt", "gen", "prefill_tps", "decode_tps", "bandwidth_frac", "peak_rss"} {
		if _, has := rows[0][key]; !has {
			t.Errorf("no %s in %v", key, rows[0])
		}
	}
	if info, err := os.Stat(profile); err != nil || info.Size() == 0 {
		t.Errorf("no profile: %v", err)
	}
	var roof struct {
		Threads int
		Read    []map[string]float64
	}
	clitest.Run(t, "", "bench", "--roofline", "--threads", "1", "--json").JSON(t, &roof)
	if roof.Threads != 1 || len(roof.Read) == 0 || roof.Read[0]["bytes_per_second"] <= 0 {
		t.Errorf("roof %+v", roof)
	}
	var parts []map[string]any
	clitest.Run(t, "", "bench", plan, "--prompt", "8", "--gen", "2", "--profile", profile+".html", "--json").JSON(t, &parts)
	if page, err := os.ReadFile(profile + ".html"); err != nil || !strings.HasPrefix(string(page), "<!doctype html>") || !strings.Contains(string(page), ".attention") || len(parts) < 10 {
		t.Errorf("no timeline of %d parts: %v, %.100s", len(parts), err, page)
	}
}

// startServer starts a server and waits for its ready line: the address in it, and what the server says afterwards.
func startServer(t *testing.T, cmd *exec.Cmd) (address string, lines *bufio.Scanner) {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	lines = bufio.NewScanner(stderr)
	lines.Scan()
	_, rest, ok := strings.Cut(lines.Text(), "ready: ")
	address, _, _ = strings.Cut(rest, " ")
	if !ok || !strings.HasSuffix(rest, " s") {
		t.Fatalf("ready line %q", lines.Text())
	}
	return address, lines
}

func TestServeAnswersAndDrains(t *testing.T) {
	log := filepath.Join(t.TempDir(), "requests.jsonl")
	cmd := clitest.Command("serve", buildDemo(t, ""), "--port", "0", "--request-log", log)
	address, lines := startServer(t, cmd)
	resp, err := http.Get(address + "/v1/models")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
	askWatched(t, address)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // to the end, so that the process can write
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	checkRequestLog(t, log)
}

func TestWaitingForInputEndsWithASignal(t *testing.T) {
	cmd := clitest.Command("tokenize", buildDemo(t, ""))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("\"a\"\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it waits for the next line now
		t.Fatalf("%q, %v", line, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("ended with %v", err)
	}
}

// adapterRefusals are what a device says of an adapter that is not there, and of a plan that is none.
func adapterRefusals() (none, another string) {
	if os.Getenv(buildArch) != "" {
		return "takes no adapters beside the model", "takes no adapters beside the model"
	}
	return "no adapter at \"b\"", "is no adapter: make one with llmc build --adapter"
}

func TestRefusals(t *testing.T) {
	plan := buildDemo(t, "")
	noAdapter, notAnAdapter := adapterRefusals()
	for _, c := range []struct {
		exit int
		args []string
		want string
	}{
		{2, []string{"serve"}, "at least 1 arg"},
		{2, []string{"serve", plan, plan}, `would both be called "demo"`},
		{2, []string{"serve", plan, "--port", "70000"}, "--port is 70000"},
		{2, []string{"serve", plan, "--verify=maybe"}, "must be one of full, background, off"},
		{2, []string{"serve", plan, "--tls-cert", "x"}, "need each other"},
		{2, []string{"serve", plan, "--max-batch", "-1"}, "--max-batch is -1"},
		{2, []string{"serve", plan, "--persistent", "yes"}, "--persistent is \"yes\": must be auto, on or off"},
		{2, []string{"serve", plan, "--kv-memory", "much"}, "is not a size"},
		{2, []string{"serve", plan, "--gpu-memory-utilization", "90"}, "--gpu-memory-utilization is 90: must be above 0 and at most 1"},
		{2, []string{"serve", plan, "--adapter", "ab"}, "--adapter \"ab\": expected NAME=PATH"},
		{2, []string{"serve", plan, "--lora-modules", "{\"name\": 1}"}, "expected NAME=PATH"},
		{2, []string{"serve", plan, "--adapter", "a=b", "--adapter", "c=d", "--max-loras", "1"}, "--max-loras is 1, and 2 adapters are named"},
		{2, []string{"serve", plan, "--max-lora-rank", "9000"}, "--max-lora-rank is 9000: must be within 1..8192"},
		{2, []string{"serve", "--lora-modules", "a=b", "c=d"}, "no PLAN is given"},
		{1, []string{"serve", plan, "--lora-modules", "a=b", "c=d", "--port", "0"}, noAdapter},
		{1, []string{"generate", plan, "--tokens", "1", "--adapter", plan}, notAnAdapter},
		{2, []string{"serve", plan, "--draft", ""}, "--draft is empty"},
		{2, []string{"serve", plan, "--draft-tokens", "4"}, "--draft-tokens needs --draft"},
		{2, []string{"serve", plan, "--draft", "ngram", "--draft-tokens", "0"}, "--draft-tokens is 0: must be within 1..64"},
		{2, []string{"serve", plan, plan + "2", "--draft", "small.plan"}, "drafts for one plan, there are 2"},
		{1, []string{"serve", plan, "--draft", plan + ".none"}, "no such file"},
		{1, []string{"generate", plan, "--tokens", "1", "--draft", buildDemo(t, "checkpoints/qwen3-v5")}, "one of the plans has no tokenizer"},
		{2, []string{"bench", plan, "--text", "f"}, "--text needs --draft"},
		{2, []string{"bench", plan, "--draft", "ngram", "--explain"}, "leave --explain and --profile out"},
		{2, []string{"bench", plan, "--draft", "ngram", "--gen", "1"}, "--gen is 1: must be at least 2"},
		{2, []string{"serve", plan, "--grpc-port", "70000"}, "--grpc-port is 70000"},
		{1, []string{"serve", plan, "--kv-memory", "1"}, "one page takes"},
		{1, []string{"serve", plan, "--api-key-file", plan + ".none"}, "no such file"},
		{2, []string{"generate", plan}, "give one of"},
		{2, []string{"generate", plan, "--prompt", "a", "--tokens", "1"}, "give one of"},
		{2, []string{"generate", plan, "--prompt", "a", "--max-tokens", "0"}, "--max-tokens is 0"},
		{2, []string{"generate", plan, "--prompt", "a", "--temperature", "-1"}, "--temperature is -1"},
		{2, []string{"generate", plan, "--prompt", "a", "--regex", "a", "--choice", "b"}, "give one of --json-schema"},
		{1, []string{"generate", plan, "--prompt", "a", "--regex", "a("}, "can not be read"},
		{2, []string{"generate", plan, "--tokens", "1,x"}, `"x" is not a token id`},
		{1, []string{"generate", plan, "--tokens", "1,99999"}, "outside the vocabulary"},
		{1, []string{"logits", plan, "--text", "a", "--image", "f"}, "reads text alone; --image is for plans of models that read images"},
		{1, []string{"generate", plan, "--prompt", "a", "--image", plan}, "the model reads no images"},
		{2, []string{"serve", plan, "--limit-images", "-1"}, "--limit-images is -1"},
		{2, []string{"logits", plan}, "either --tokens, --text or --image"},
		{2, []string{"bench", plan, "--roofline"}, "accepts 0 arg(s)"},
		{2, []string{"bench", plan, "--batch", "0"}, "--batch is 0"},
		{2, []string{"bench", plan, "--repeat", "0"}, "--repeat is 0"},
		{1, []string{"bench", plan + ".none"}, "no such file"},
		{2, []string{"serve", plan, "--adapter", "a=oci://x"}, "it is not registry/repository"},
	} {
		clitest.Run(t, "", c.args...).Refused(t, c.exit, c.want)
	}
}

func TestHelpHasExamples(t *testing.T) {
	for _, c := range commands {
		if cmd := c(); cmd.Example == "" || cmd.Short == "" {
			t.Errorf("%s has no example or no summary", cmd.Name())
		}
	}
	if out := clitest.Run(t, "", "serve", "--help").Done(t); strings.Contains(out, "default 0") {
		t.Errorf("the help shows defaults that are none:\n%s", out)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := clitest.Run(t, "", "completion", shell).Done(t); !strings.Contains(out, "llmrun") {
			t.Errorf("completion for %s: %.80q", shell, out)
		}
	}
}
