package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/internal/cachedir"
	"llmc/internal/clitest"
)

func TestMain(m *testing.M) { clitest.Main(m, main) }

const demo = "../../testdata/demo"

// buildDemo compiles the bundled model and returns the plan's path.
func buildDemo(t *testing.T, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "demo.plan")
	clitest.Run(t, "", append([]string{"build", demo, "-o", out}, flags...)...).Done(t)
	return out
}

func TestBuildReport(t *testing.T) {
	out := filepath.Join(t.TempDir(), "x.plan")
	var report struct {
		PlanBytes     *int64           `json:"plan_bytes"`
		Seconds       *float64         `json:"seconds"`
		PeakAnonBytes *int64           `json:"peak_anon_bytes"`
		Accuracy      *json.RawMessage `json:"accuracy"`
		Digest        string           `json:"digest"`
	}
	clitest.Run(t, "", "build", demo, "-o", out, "--quant", "int8", "--json").JSON(t, &report)
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	if report.PlanBytes == nil || *report.PlanBytes != info.Size() || report.Seconds == nil || report.PeakAnonBytes == nil || report.Accuracy == nil ||
		!strings.HasPrefix(report.Digest, "sha256:") {
		t.Errorf("report %+v", report)
	}
	text := clitest.Run(t, "", "build", demo, "-o", out).Done(t)
	for _, row := range []string{"plan ", "size ", "targets ", "time ", "memory ", "accuracy ", "digest "} {
		if !strings.Contains("\n"+text, "\n"+row) {
			t.Errorf("the table has no row %q:\n%s", row, text)
		}
	}
}

func TestDiffAndRefit(t *testing.T) {
	plan, coarse := buildDemo(t), buildDemo(t, "--quant", "int4")
	again := filepath.Join(t.TempDir(), "again.plan")
	clitest.Run(t, "", "refit", plan, demo, "-o", again).Done(t)
	var c struct {
		Same        bool
		Differences []struct{ What, Name string }
	}
	clitest.Run(t, "", "diff", plan, again, "--json").JSON(t, &c)
	if !c.Same || len(c.Differences) != 0 {
		t.Errorf("a plan with its own weights differs: %+v", c)
	}
	clitest.Run(t, "", "diff", plan, coarse, "--json").JSON(t, &c)
	if c.Same || len(c.Differences) == 0 {
		t.Errorf("int4 and bf16 do not differ: %+v", c)
	}
}

func TestResultsAreJSON(t *testing.T) {
	plan := buildDemo(t)
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("A short text is a window of its own length."), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"inspect", plan}, {"inspect", plan, "--ir"}, {"inspect", plan, "--kernels"}, {"inspect", plan, "--memory", "--max-batch", "2"}, {"targets"},
		{"verify", plan}, {"verify", plan, "--against", demo}, {"eval", plan, "--text", text}, {"eval", plan, "--text", text, "--against", demo},
	} {
		var v map[string]any
		clitest.Run(t, "", append(args, "--json")...).JSON(t, &v)
	}
	var v map[string]any
	clitest.Run(t, "", "verify", plan, "--against", demo, "--json").JSON(t, &v)
	if bad, has := v["first_bad_layer"]; v["ok"] != true || v["max_err"] == nil || v["mean_err"] == nil || !has || bad != nil {
		t.Errorf("verification %v", v)
	}
	clitest.Run(t, "", "eval", plan, "--text", text, "--against", demo, "--json").JSON(t, &v)
	if v["ppl"] == nil || v["ppl_ref"] == nil || v["kl"] == nil || v["top1"] == nil {
		t.Errorf("quality %v", v)
	}
	out := clitest.Run(t, `{"messages":[{"role":"user","content":"Hi"}],"add_generation_prompt":true}`+"\n7\n", "render", demo, "--json").Done(t)
	if lines := strings.Split(out, "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], `"`) || !strings.HasPrefix(lines[1], `{"error":"`) {
		t.Errorf("rendered %q", out)
	}
}

// refusal is a command that says what is wrong.
type refusal struct {
	exit int
	args []string
	want string
}

func (r refusal) check(t *testing.T) {
	t.Helper()
	clitest.Run(t, "", r.args...).Refused(t, r.exit, r.want)
}

func TestRefusals(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	build := func(flags ...string) []string { return append([]string{"build", demo, "-o", missing}, flags...) }
	for _, c := range []refusal{
		{2, []string{"biuld"}, `unknown command "biuld"`},
		{2, []string{"build", demo}, `"output" not set`},
		{2, []string{"build", demo, "-o", ""}, "--output"},
		{2, build("--threads", "-1"), "--threads is -1"},
		{2, build("--threads", "x"), `--threads "x": is not a whole number`},
		{2, build("--arch", "sm70"), `--arch: unknown target "sm70"; known are`},
		{1, build("--quant", "f16"), "no CPU kernel reads f16; use bf16"},
		{2, build("--kv-dtype", "fp4"), `--kv-dtype: "fp4": the KV cache can be auto, f32, bf16, f16, fp8, int8, int16`},
		{1, build("--arch", "sm90", "--kv-dtype", "f32"), "takes no KV cache of f32: give --kv-dtype one of bf16, f16, fp8, int8, int4"},
		{2, build("--weights", "zeros"), "expected random:SEED"},
		{2, build("--rotate", "twice"), `--rotate "twice": expected auto, none, weights, inputs`},
		{2, build("--override", "down"), `--override "down": expected PATTERN=FORMAT`},
		{2, build("--override", "[=int8"), "expected PATTERN=FORMAT"},
		{2, build("--override", "*=int3"), `unknown format "int3"`},
		{1, build("--quant", "int4-a8", "--arch", "sm80"), "no GPU kernel reads int4-nested-a8"},
		{1, build("--rotate", "inputs", "--arch", "sm80"), "has no kernel for"},
		{2, build("--gate", "bits<1"), "there is no figure"},
		{2, build("--dump", "nothing"), "--dump"},
		{1, build("--calib", "missing.txt"), "missing.txt"},
		{1, build("--calib", os.DevNull), os.DevNull},
		{2, build("--calib", "default", "--calib-chat"), "give a file with --calib"},
		{2, build("--calib", "default", "--method", "best"), `--method: "best": there is no such method, there are gptq, gptq-tuned, gptq-apart, rtn`},
		{2, build("--method", "gptq"), "are for --calib, which is not given"},
		{1, build("--gate", "ppl<=+1%"), "give one with --calib"},
		{1, build("--tp", "64"), "share them at most"},
		{2, build("--budget", "4"), "--calib"},
		{2, build("--budget", "100", "--calib", "default"), "a size has a unit"},
		{2, build("--budget", "5", "--calib", "default", "--quant", "int8"), "leave one of them out"},
		{2, build("--calib-state", "x"), "--calib"},
		{2, build("--calib-state", "x", "--calib", "default", "--method", "awq"), "keeps nothing"},
		{1, build("--lora", "dir"), "adapter dir: adapter_config.json: is missing"},
		{2, build("--lora", "dir", "--weights", "random:1"), "--lora is merged into weights"},
		{2, build("--adapter", "dir"), "--adapter and --base need each other"},
		{2, build("--adapter", "dir", "--base", "x.plan", "--lora", "dir"), "give either"},
		{1, build("--adapter", "../../testdata/demo", "--base", "missing.plan"), "missing.plan"},
		{2, build("--max-lora-rank", "-1"), "--max-lora-rank is -1"},
		{1, build("--family", "missing.star"), "missing.star"},
		{1, build("--cubin"), "cubins are code for GPUs, and no target is one"},
		{1, build("--arch", "sm80", "--cubin", "--ptxas", "/nonexistent/ptxas"), "/nonexistent/ptxas is not a ptxas that runs"},
		{2, build("--ptxas", "ptxas"), "--ptxas is for --cubin"},
		{1, build("--gate", "weight_error<=0", "--quant", "int4"), "the gate asks for weight_error<=0"},
		{1, []string{"build", missing, "-o", missing}, "does not exist"},
		{1, []string{"build", demo, "-o", missing + "/x.plan"}, "there is no directory " + missing},
		{1, []string{"build", demo, "-o", os.DevNull}, "not a regular file"},
	} {
		c.check(t)
		if _, err := os.Stat(missing); err == nil {
			t.Errorf("%q left a plan", c.args)
			_ = os.Remove(missing)
		}
	}
	clitest.Run(t, "", build("--tp", "1", "--pp=1", "--no-fallback", "--cubin=false")...).Done(t)
}

func TestRefusalsOfPlans(t *testing.T) {
	t.Setenv(cachedir.Variable, t.TempDir())
	plan, missing := buildDemo(t), filepath.Join(t.TempDir(), "missing")
	for _, c := range []refusal{
		{1, []string{"inspect", plan, "--ptx", "x"}, "the plan holds no PTX"},
		{2, []string{"inspect", plan, "--threads", "0"}, "--threads is 0"},
		{1, []string{"inspect", missing}, "no such file"},
		{1, []string{"inspect", plan, "--card", "h200"}, "no program for [h200]"},
		{2, []string{"inspect", plan, "--card", "h300"}, "unknown card \"h300\"; known are a100, l40s, h100, h200"},
		{2, []string{"inspect", plan, "--card", "h200", "--batch", "0"}, "--batch has 0"},
		{2, []string{"inspect", plan, "--context", "100"}, "give --card"},
		{1, []string{"inspect", "oci://127.0.0.1:1/x:y"}, "oci://127.0.0.1:1/x:y: no usable answer from 127.0.0.1:1: connection refused"},
		{2, []string{"inspect", "oci://registry.example"}, "it is not registry/repository"},
		{1, []string{"inspect", "oci-layout:" + missing + ":v1"}, "there is no " + missing + "/index.json"},
		{1, []string{"inspect", demo + "/config.json"}, "not a plan file"},
		{2, []string{"verify", plan, "--device", "tpu"}, `unknown device "tpu"`},
		{1, []string{"eval", plan, "--text", missing}, "no such file"},
		{2, []string{"eval", plan}, `"text" not set`},
		{2, []string{"eval", plan, "--text", missing, "--windows", "65"}, "--windows is 65"},
		{1, []string{"refit", plan, "../../testdata/checkpoints/qwen3-v5", "-o", missing}, "asks for another computation"},
		{1, []string{"diff", plan, missing}, "no such file"},
		{2, []string{"diff", plan}, "accepts 2 arg(s)"},
		{2, []string{"gpubench", "--plans", "70b:bf16"}, `no model "70b": there are 8b, 1b and tiny`},
		{2, []string{"gpubench", "--copy", "1K"}, "--copy is 1024 bytes"},
		{1, []string{"gpubench", "--show", missing}, "no such file"},
		{2, []string{"push", plan, "registry.example/x:a b"}, "its tag may have"},
		{2, []string{"push", plan, "registry.example/x@sha256:12"}, "no sha256 digest"},
		{1, []string{"push", missing, "registry.example/x:y"}, "no such file"},
		{2, []string{"pull", "registry.example/x:y"}, `"output" not set`},
		{2, []string{"pull", "registry.example/x:y", "-o", missing, "--target", "sm1"}, `unknown target "sm1"`},
		{1, []string{"pull", "registry.example/x:y", "-o", missing, "--ca-file", missing}, "--ca-file: open"},
		{2, []string{"list", "x"}, "it is not registry/repository"},
		{1, []string{"verify-signature", "registry.example/x:y", "--key", missing}, "no usable key: open"},
		{1, []string{"sign", plan, "--key", "env://LLMC_NO_SUCH_KEY"}, "the variable is not set"},
		{1, []string{"sign", plan, "--key", plan}, "more than"},
	} {
		c.check(t)
	}
}

func TestHelpHasExamples(t *testing.T) {
	for _, c := range commands {
		if cmd := c(); cmd.Example == "" || cmd.Short == "" {
			t.Errorf("%s has no example or no summary", cmd.Name())
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := clitest.Run(t, "", "completion", shell).Done(t); !strings.Contains(out, "llmc") {
			t.Errorf("completion for %s: %.80q", shell, out)
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"build", "--arch", ""}, "x86-64-v3\n"},
		{[]string{"build", "--quant", "int4-"}, "int4-g32\n"},
		{[]string{"opt", "--pass", ""}, "fuse-qkv\n"},
		{[]string{"verify", "--device", ""}, "cpu\n"},
		{[]string{"inspect", ""}, "plan\n:8\n"},    // files that end in .plan
		{[]string{"refit", "x.plan", ""}, ":16\n"}, // directories
		{[]string{"bui"}, "build\t"},
	} {
		if out := clitest.Run(t, "", append([]string{"__complete"}, c.args...)...).Done(t); !strings.Contains(out, c.want) {
			t.Errorf("%q completes to %q, lacking %q", c.args, out, c.want)
		}
	}
}
