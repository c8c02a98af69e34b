// Package gpubench measures what an NVIDIA GPU reaches with programs of this compiler: launches alone, attention and whole models, beside the bandwidth
// of a copy and, where there is one, beside torch in the same run. Models have made-up weights and are built on the spot. Each section of a run is a
// process of its own: one that loses the device or hangs costs its section, and what was measured before it stays.
package gpubench
