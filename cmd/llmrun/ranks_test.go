package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"llmc/internal/clitest"
)

// rankTokens are what ranks generate: as many as one process, and the same.
func rankTokens(t *testing.T, out string) []int32 {
	t.Helper()
	var result generated
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return result.Tokens
}

// TestRanksGenerateTheSame starts two and four processes over each transport.
func TestRanksGenerateTheSame(t *testing.T) {
	plan := buildDemo(t, "")
	args := []string{"generate", plan, "--tokens", "1,2,3,4,5,6,7", "--max-tokens", "16", "--ignore-eos", "--json", "--threads", "1"}
	want := rankTokens(t, clitest.Run(t, "", args...).Done(t))
	if len(want) != 16 {
		t.Fatalf("%d tokens", len(want))
	}
	for _, ranks := range [][]string{{"--tp", "2"}, {"--tp", "2", "--pp", "2", "--rank-transport", "tcp"}} {
		r := clitest.Run(t, "", append(slices.Clone(args), ranks...)...)
		if got := rankTokens(t, r.Done(t)); !slices.Equal(got, want) || r.Stderr != "" {
			t.Errorf("%v: tokens %v, want %v; %s", ranks, got, want, r.Stderr)
		}
	}
}

// freePort is one that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// TestLaunchersStartRanks runs the same command several times, as launchers do, each with its number in its environment.
func TestLaunchersStartRanks(t *testing.T) {
	plan := buildDemo(t, "")
	args := []string{"generate", plan, "--tokens", "1,2,3", "--max-tokens", "4", "--ignore-eos", "--json", "--threads", "1", "--tp", "2"}
	want := rankTokens(t, clitest.Run(t, "", args...).Done(t))
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("between us\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env  []string // with %d for the rank
		args []string
	}{
		"mpirun": {[]string{"OMPI_COMM_WORLD_RANK=%d", "OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_LOCAL_SIZE=2"}, []string{"--leader-addr", "127.0.0.1:" + freePort(t)}},
		"lws":    {[]string{"LWS_WORKER_INDEX=%d", "LWS_GROUP_SIZE=2", "LWS_LEADER_ADDRESS=localhost:" + freePort(t)}, []string{"--rank-secret-file", secret}},
	} {
		t.Run(name, func(t *testing.T) {
			var processes []*exec.Cmd
			for rank := range 2 {
				cmd := clitest.Command(append(slices.Clone(args), c.args...)...)
				cmd.Env = append(cmd.Env, launcherEnv(c.env, rank)...)
				processes = append(processes, cmd)
			}
			if got := rankTokens(t, runRanks(t, processes)); !slices.Equal(got, want) {
				t.Errorf("tokens %v, want %v", got, want)
			}
		})
	}
}

// runRanks starts processes, waits for all, and returns what the first has printed.
func runRanks(t *testing.T, processes []*exec.Cmd) string {
	t.Helper()
	var out, errs bytes.Buffer
	processes[0].Stdout = &out
	for _, cmd := range processes {
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i, cmd := range processes {
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %d: %v: %s", i, err, errs.String())
		}
	}
	return out.String()
}

// children are the processes that a process has started.
func children(t *testing.T, pid int) []int {
	t.Helper()
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)); err != nil {
		t.Skip(err)
	}
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var all []int
	for _, name := range threads {
		if text, err := os.ReadFile(name); err == nil {
			for _, field := range strings.Fields(string(text)) {
				if child, err := strconv.Atoi(field); err == nil {
					all = append(all, child)
				}
			}
		}
	}
	return all
}

// TestServersEndWithTheirRanks kills a rank of a server that waits for requests, and wants the server to say so and end; and a server that is told to end to take its ranks along.
func TestServersEndWithTheirRanks(t *testing.T) {
	plan := buildDemo(t, "")
	for _, c := range []struct {
		name   string
		signal func(server int, ranks []int)
		exit   int
		want   string
	}{
		{"killed", func(_ int, ranks []int) { _ = syscall.Kill(ranks[0], syscall.SIGKILL) }, 1, "rank 1 has gone"},
		{"drained", func(server int, _ []int) { _ = syscall.Kill(server, syscall.SIGTERM) }, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := clitest.Command("serve", plan, "--port", "0", "--tp", "2", "--threads", "1", "--kv-memory", "16M")
			address, lines := startServer(t, cmd)
			ranks := children(t, cmd.Process.Pid)
			if len(ranks) != 1 {
				t.Fatalf("%d ranks were started, want 1", len(ranks))
			}
			response, err := http.Post(address+"/v1/completions", "application/json", strings.NewReader(`{"model":"demo","prompt":"Once","max_tokens":3}`))
			if err != nil || response.StatusCode != 200 {
				t.Fatalf("%v, %v", response, err)
			}
			response.Body.Close()
			c.signal(cmd.Process.Pid, ranks)
			said := ""
			for lines.Scan() {
				said += lines.Text() + "\n"
			}
			if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != c.exit || !strings.Contains(said, c.want) {
				t.Errorf("exit %d, %q", cmd.ProcessState.ExitCode(), said)
			}
			for end := time.Now().Add(10 * time.Second); syscall.Kill(ranks[0], 0) == nil; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the rank is left behind")
				}
			}
		})
	}
}

// TestRanksAreRefused before any process is started.
func TestRanksAreRefused(t *testing.T) {
	plan := buildDemo(t, "")
	for _, c := range []struct {
		exit int
		args []string
		want string
	}{
		{2, []string{"serve", plan, "--tp", "0"}, "--tp is 0 and --pp 1: must be at least 1 each"},
		{1, []string{"serve", plan, "--tp", "2", "--device", "emu"}, "the plan has no program"},
		{2, []string{"serve", plan, "--tp", "2", "--nnodes", "2", "--leader-addr", "a", "--device", "emu"}, "the GPUs that share a layer are on one machine, and each machine has as many stages; give a --pp that is a multiple of 2"},
		{2, []string{"serve", plan, "--pp", "3", "--nnodes", "2", "--leader-addr", "a", "--device", "emu"}, "--pp 3 on device emu for 2 machines (--nnodes)"},
		{2, []string{"serve", plan, "--pp", "2", "--nnodes", "2", "--device", "emu"}, "give --leader-addr HOST:PORT"},
		{2, []string{"serve", plan, "--nnodes", "2", "--node-rank", "1", "--leader-addr", "a"}, "--nnodes, --node-rank and --leader-addr are for --tp and --pp"},
		{2, []string{"serve", plan, "--tp", "2", "--nnodes", "2"}, "give --leader-addr HOST:PORT"},
		{2, []string{"serve", plan, "--tp", "3", "--nnodes", "2", "--leader-addr", "a"}, "3 ranks (tp times pp) for 2 processes"},
		{2, []string{"serve", plan, "--tp", "2", "--rank-transport", "rdma"}, "--rank-transport is \"rdma\": must be one of auto, shm, tcp, nccl"},
		{2, []string{"serve", plan, "--tp", "2", "--rank-transport", "nccl"}, "--rank-transport nccl is for GPUs of several machines"},
		{1, []string{"serve", plan, "--tp", "2", "--nnodes", "2", "--leader-addr", "0.0.0.0:0"}, "give all the same secret"},
		{1, []string{"generate", plan, "--tokens", "1", "--tp", "64"}, "share them at most"},
		{1, []string{"serve", plan, plan + "2", "--tp", "2"}, "--tp and --pp split one plan"},
	} {
		clitest.Run(t, "", c.args...).Refused(t, c.exit, c.want)
	}
}

// launcherEnv is what a launcher says to the process of a number, which stands where a variable has %d.
func launcherEnv(variables []string, number int) (env []string) {
	for _, v := range variables {
		if strings.Contains(v, "%d") {
			v = fmt.Sprintf(v, number)
		}
		env = append(env, v)
	}
	return env
}
