//go:build cuda

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/internal/clitest"
	"llmc/runtime/device/cuda/driver"
	"llmc/runtime/device/cuda/emulated"
	"llmc/runtime/device/cuda/jit"
)

func init() {
	if err := emulated.FromEnvironment("sm80", 12040); err != nil {
		panic(err)
	}
}

// buildFor compiles the bundled model for a target.
func buildFor(t *testing.T, target string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "demo.plan")
	if text, err := exec.Command("go", "run", "llmc/cmd/llmc", "build", "../../testdata/demo", "--quant", "bf16", "--arch", target, "-o", out).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}

// onDriver is a command that finds an emulated driver with faults.
func onDriver(t *testing.T, faults emulated.Faults, args ...string) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(faults)
	if err != nil {
		t.Fatal(err)
	}
	cmd := clitest.Command(args...)
	cmd.Env = append(cmd.Env, emulated.Environment+"="+string(text), jit.Environment+"="+jit.Off)
	return cmd
}

// TestAutoTakesTheGPU wants --device auto to run on a GPU if the plan has a program for it, and to go on with the processor where it has none.
func TestAutoTakesTheGPU(t *testing.T) {
	both, processor := buildFor(t, "native,sm80"), buildFor(t, "native")
	tokens := func(faults emulated.Faults, device, plan string) (text string, failed bool) {
		out, err := onDriver(t, faults, "generate", plan, "--tokens", "1,2,3", "--max-tokens", "2", "--ignore-eos", "--device", device).CombinedOutput()
		return string(out), err != nil
	}
	lost := emulated.Faults{Answer: 1, Failure: 719}
	for _, c := range []struct {
		faults       emulated.Faults
		device, plan string
		failed       bool
		want         string
	}{
		{lost, "auto", both, true, "the device is lost: emulated sm80"}, // so it was the GPU
		{lost, "cpu", both, false, ""},
		{lost, "auto", processor, false, ""},
		{emulated.Faults{Start: 803}, "auto", both, false, ""},
		{emulated.Faults{Start: 803}, "cuda", both, true, "device cuda: the NVIDIA driver does not start: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)"},
		{lost, "cuda", processor, true, "device cuda: the plan has no program for emulated sm80 (compute capability 8.0)"},
	} {
		if text, failed := tokens(c.faults, c.device, c.plan); failed != c.failed || !strings.Contains(text, c.want) {
			t.Errorf("%+v on %s: failed %v: %s", c.faults, c.device, failed, text)
		}
	}
}

// TestNoGPUDriver wants the command to start without NVIDIA's driver, and to say that there is none.
func TestNoGPUDriver(t *testing.T) {
	var missing *driver.NotFound
	if !errors.As(driver.Start(), &missing) {
		t.Skip("SKIPPED: there is a driver here")
	}
	clitest.Run(t, "", "serve", buildFor(t, "sm80"), "--device", "cuda").Refused(t, 1, "device cuda: no NVIDIA driver is installed (libcuda.so.1: ", "install one, or take --device cpu")
}

// TestServeLosesItsDevice lets a GPU fail while an answer is streamed: the client is told, the server says that it is not well, and the process ends
// with the reason.
func TestServeLosesItsDevice(t *testing.T) {
	cmd := onDriver(t, emulated.Faults{Answer: 4, Failure: driver.Result(700)}, "serve", buildFor(t, "sm80"), "--device", "cuda", "--port", "0", "--max-batch", "2", "--max-context", "64")
	address, lines := startServer(t, cmd)
	said := make(chan string)
	go func() {
		text := ""
		for lines.Scan() {
			text += lines.Text() + "\n"
		}
		said <- text
	}()
	if resp, err := http.Get(address + "/health"); err != nil || resp.StatusCode != 200 {
		t.Fatalf("health before: %v, %v", resp, err)
	}
	resp, err := http.Post(address+"/v1/completions", "application/json", strings.NewReader(`{"model":"demo","prompt":"Hello","max_tokens":50,"stream":true,"ignore_eos":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	pieces, failure := 0, ""
	for stream := bufio.NewScanner(resp.Body); stream.Scan() && failure == ""; {
		switch text := stream.Text(); {
		case strings.Contains(text, `"error"`):
			failure = text
		case strings.HasPrefix(text, "data: {"):
			pieces++
		}
	}
	if pieces == 0 || !strings.Contains(failure, "server_error") {
		t.Errorf("%d pieces, then %q", pieces, failure)
	}
	if resp, err := http.Get(address + "/health"); err == nil && resp.StatusCode == 200 {
		t.Error("the server calls itself healthy without a device")
	}
	text := <-said // to the end
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("the process ended with %v", err)
	}
	for _, want := range []string{"memory: demo on emulated sm80: ", " KV cache (8 pages of 16 tokens); ", " of 1.0 GiB free\n", "llmrun: model demo: the device is lost: emulated sm80: ", "CUDA_ERROR_ILLEGAL_ADDRESS (700): emulated failure; start again"} {
		if !strings.Contains(text, want) {
			t.Errorf("the process does not say %q but\n%s", want, text)
		}
	}
}

// TestMachinesWithGPUs runs the same command as on two machines with a GPU each, whose driver is emulated, and wants the first to say how rows go from one to the other.
func TestMachinesWithGPUs(t *testing.T) {
	plan, port := buildFor(t, "sm80"), freePort(t)
	args := []string{"generate", plan, "--device", "cuda", "--tokens", "1,2,3", "--max-tokens", "3", "--ignore-eos", "--json"}
	out, err := onDriver(t, emulated.Faults{}, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := rankTokens(t, string(out))
	var processes []*exec.Cmd
	for node := range 2 {
		processes = append(processes, onDriver(t, emulated.Faults{}, machineArgs(args, port, node, "--pp", "2")...))
	}
	if got := rankTokens(t, runRanks(t, processes)); !slices.Equal(got, want) {
		t.Errorf("tokens %v, want %v", got, want)
	}
	for node := range 2 {
		processes[node] = onDriver(t, emulated.Faults{}, machineArgs(args, port, node, "--pp", "2", "--rank-transport", "nccl")...)
	}
	if err := processes[1].Start(); err != nil {
		t.Fatal(err)
	}
	if text, err := processes[0].CombinedOutput(); err == nil || !strings.Contains(string(text), "--rank-transport nccl: NCCL is not there: libnccl.so.2") {
		t.Errorf("%v: %s", err, text)
	}
	if err := processes[1].Wait(); err == nil {
		t.Error("the other machine ends as if nothing were wrong")
	}
}
