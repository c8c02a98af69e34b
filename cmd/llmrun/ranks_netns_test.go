package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"llmc/internal/clitest"
)

// namespaces makes two network namespaces that see each other, as machines do, and returns their names and addresses. Where that is not allowed the test is skipped.
func namespaces(t *testing.T) (names, addresses [2]string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces are made by root")
	}
	ip := func(args ...string) error {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
		return nil
	}
	ends := [2]string{}
	for i := range names {
		names[i], addresses[i] = fmt.Sprintf("llmc-%d-%d", os.Getpid(), i), fmt.Sprintf("10.231.77.%d", i+1)
		ends[i] = fmt.Sprintf("l%d-%d", os.Getpid()%100000, i)
		if err := ip("netns", "add", names[i]); err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { _ = ip("netns", "delete", names[i]) })
	}
	if err := ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1]); err != nil {
		t.Skip(err)
	}
	for i, name := range names {
		for _, args := range [][]string{{"link", "set", ends[i], "netns", name}, {"-n", name, "address", "add", addresses[i] + "/24", "dev", ends[i]},
			{"-n", name, "link", "set", ends[i], "up"}, {"-n", name, "link", "set", "lo", "up"}} {
			if err := ip(args...); err != nil {
				t.Fatal(err)
			}
		}
	}
	return names, addresses
}

// TestRanksAcrossNetworkNamespaces runs four ranks on what look like two machines, two on each, which reach each other over TCP alone.
func TestRanksAcrossNetworkNamespaces(t *testing.T) {
	plan := buildDemo(t, "")
	args := []string{"generate", plan, "--tokens", "5,6,7,8", "--max-tokens", "6", "--ignore-eos", "--json", "--threads", "1"}
	want := rankTokens(t, clitest.Run(t, "", args...).Done(t))
	names, addresses := namespaces(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("between us"), 0o600); err != nil {
		t.Fatal(err)
	}
	var processes []*exec.Cmd
	for node, name := range names {
		cmd := clitest.Command(append(slices.Clone(args), "--tp", "2", "--pp", "2", "--rank-transport", "tcp", "--nnodes", "2", "--node-rank", fmt.Sprint(node),
			"--leader-addr", addresses[0]+":29610", "--rank-secret-file", secret)...)
		cmd.Args = append([]string{"ip", "netns", "exec", name}, cmd.Args...)
		if cmd.Path, cmd.Err = exec.LookPath("ip"); cmd.Err != nil {
			t.Skip(cmd.Err)
		}
		processes = append(processes, cmd)
	}
	if got := rankTokens(t, runRanks(t, processes)); !slices.Equal(got, want) {
		t.Errorf("tokens %v, want %v", got, want)
	}
}
