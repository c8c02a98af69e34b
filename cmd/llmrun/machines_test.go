package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"llmc/internal/clitest"
)

// machineArgs are those of one of two machines that meet at a port of this one.
func machineArgs(args []string, port string, node int, more ...string) []string {
	return slices.Concat(args, []string{"--nnodes", "2", "--node-rank", fmt.Sprint(node), "--leader-addr", "127.0.0.1:" + port}, more)
}

// TestMachinesGenerateTheSame runs the same command as on two machines, each with emulated GPUs, started by hand and by a launcher.
func TestMachinesGenerateTheSame(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "machines.plan")
	llmc(t, "build", "../../testdata/demo", "--arch", "sm80", "--tp", "2", "-o", plan)
	args := []string{"generate", plan, "--device", "emu", "--tokens", "1,2,3", "--max-tokens", "3", "--ignore-eos", "--json"}
	want := rankTokens(t, clitest.Run(t, "", args...).Done(t))
	for name, c := range map[string]struct {
		args []string
		env  []string // with %d for the machine
	}{
		"by hand": {[]string{"--pp", "2", "--rank-transport", "tcp"}, nil},
		"mpirun":  {[]string{"--tp", "2", "--pp", "4"}, []string{"OMPI_COMM_WORLD_RANK=%d", "OMPI_COMM_WORLD_SIZE=2"}},
	} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			var processes []*exec.Cmd
			for node := range 2 {
				cmd := clitest.Command(machineArgs(args, port, node, c.args...)...)
				if c.env != nil {
					cmd = clitest.Command(slices.Concat(args, c.args, []string{"--leader-addr", "127.0.0.1:" + port})...)
				}
				cmd.Env = append(cmd.Env, launcherEnv(c.env, node)...)
				processes = append(processes, cmd)
			}
			if got := rankTokens(t, runRanks(t, processes)); !slices.Equal(got, want) {
				t.Errorf("tokens %v, want %v", got, want)
			}
		})
	}
}

// TestServersEndWithTheirMachines stops a machine whose stage a server needs, in one way or another, and wants all that are left to say so in a line and to end.
func TestServersEndWithTheirMachines(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "machines.plan")
	llmc(t, "build", "../../testdata/demo", "--arch", "sm80", "-o", plan)
	args := []string{"serve", plan, "--port", "0", "--device", "emu", "--pp", "2", "--kv-memory", "16M", "--max-context", "64", "--rank-timeout", "2s"}
	ask := func(address string) (*http.Response, error) {
		return http.Post(address+"/v1/completions", "application/json", strings.NewReader(`{"model":"machines","prompt":"Once","max_tokens":2}`))
	}
	for _, c := range []struct {
		name   string
		signal syscall.Signal // to the other machine; 0: the server is told to end
		exit   int
		want   string
	}{{"killed", syscall.SIGKILL, 1, "rank 1 has gone"}, {"stopped", syscall.SIGSTOP, 1, "rank 1 does not answer: nothing has come for 2s"}, {"drained", 0, 0, ""}} {
		t.Run(c.name, func(t *testing.T) {
			port := freePort(t)
			other := clitest.Command(machineArgs(args, port, 1)...)
			var said bytes.Buffer
			other.Stderr = &said
			if err := other.Start(); err != nil {
				t.Fatal(err)
			}
			server := clitest.Command(machineArgs(args, port, 0)...)
			address, lines := startServer(t, server)
			if response, err := ask(address); err != nil || response.StatusCode != 200 {
				t.Fatalf("%v, %v", response, err)
			}
			begun := time.Now()
			if c.signal == 0 {
				_ = server.Process.Signal(syscall.SIGTERM)
			} else {
				_ = other.Process.Signal(c.signal)
			}
			if c.signal == syscall.SIGSTOP { // which is noticed when it is needed
				if response, err := ask(address); err == nil && response.StatusCode == 200 {
					t.Error("a machine that stands still has answered")
				}
			}
			text := rest(lines)
			if _ = server.Wait(); server.ProcessState.ExitCode() != c.exit || !strings.Contains(text, c.want) || time.Since(begun) > 20*time.Second {
				t.Errorf("exit %d after %v, %q", server.ProcessState.ExitCode(), time.Since(begun), text)
			}
			_ = other.Process.Signal(syscall.SIGCONT)
			if _ = other.Wait(); c.signal == 0 && (other.ProcessState.ExitCode() != 0 || said.Len() > 0) {
				t.Errorf("the other machine: exit %d, %q", other.ProcessState.ExitCode(), said.String())
			}
		})
	}
}

// rest is what is still said.
func rest(lines *bufio.Scanner) (text string) {
	for lines.Scan() {
		text += lines.Text() + "\n"
	}
	return text
}
