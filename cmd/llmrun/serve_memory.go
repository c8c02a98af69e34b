package main

import (
	"fmt"
	"os"

	"llmc/engine"
	"llmc/internal/cli"
)

// tellMemory says what models took of devices with memory of their own. Later they take nothing.
func (s *serving) tellMemory() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hosted {
		l := h.loaded
		r, ok := l.Model.(engine.MemoryReporter)
		if !ok {
			continue
		}
		limits, pages := l.Model.Limits()
		m := r.Memory()
		fmt.Fprintf(os.Stderr, "memory: %s on %s: %s weights, %s activations, %s arrays of steps, %s KV cache (%d pages of %d tokens); %s of %s free\n", h.name, m.Device,
			cli.FormatBytes(m.Weights), cli.FormatBytes(m.Activations), cli.FormatBytes(m.Arrays), cli.FormatBytes(m.KV), pages, limits.PageSize,
			cli.FormatBytes(m.Total()), cli.FormatBytes(m.Free))
	}
}
