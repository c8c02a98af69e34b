package main

import (
	"os"
	"path/filepath"
	"testing"

	"llmc/internal/clitest"
)

// Subscribers of vLLM's events, in ZeroMQ's own library, read those of the prefix cache. `make test-clients` has them.
func TestClientsOfCacheEvents(t *testing.T) {
	c := client{runtime: "LLMC_CLIENTS_PYTHON", command: []string{"kv_events_python.py", "ADDRESS", "KEY"}}
	probe, why := c.start(t.Context(), []string{"-c", "import msgspec, zmq"})
	if why != "" || probe.Run() != nil {
		t.Skip("no pyzmq and msgspec: LLMC_CLIENTS_PYTHON names a Python that has them")
	}
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(clientKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	events, replay := freePort(t), freePort(t)
	cmd := clitest.Command("serve", buildDemo(t, ""), "--port", "0", "--kv-memory", "16M", "--api-key-file", keys,
		"--kv-events", "tcp://*:"+events, "--kv-events-replay", "tcp://*:"+replay)
	address, _ := startServer(t, cmd)
	c.command = append(c.command, "tcp://127.0.0.1:"+events, "tcp://127.0.0.1:"+replay)
	c.run(t, address)
}
