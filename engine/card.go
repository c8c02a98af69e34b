package engine

import (
	"fmt"
	"strings"
)

// Card is a GPU as predictions see it. Nothing is chosen by its figures.
//
// Multiprocessors, clocks, memory, L2, shared memory and peak rates are the vendor's: "NVIDIA A100 Tensor Core GPU Architecture" (2020), "NVIDIA H100
// Tensor Core GPU Architecture" (2022), "NVIDIA H200 Tensor Core GPU" (data sheet, 2024), "NVIDIA L40S" (data sheet, 2023) and "NVIDIA Ada GPU
// Architecture" (2023); limits of a multiprocessor are of "CUDA C++ Programming Guide", Compute Capabilities. Rates are without sparsity.
type Card struct {
	Name, Doc    string
	Target       string  // the row of Targets whose code serves it best
	SMs          int     // multiprocessors
	Clock        float64 // cycles a second, boost
	Memory       int64   // bytes
	ReadBytes    float64 // bytes a second of memory
	L2           int64   // bytes
	L2Cycle      float64 // bytes that the L2 cache gives in a cycle
	F32          float64 // multiplications and additions a second, of f32 without matrix units
	BF16         float64 // of matrix units, f16 too
	Int8         float64
	FP8          float64 // 0: there are no units for it
	SharedMemory int     // bytes of a multiprocessor, of which each CTA takes ReservedShared more than it asks for
	Threads      int     // of a multiprocessor
	CTAs         int
	Assumed      Assumed
}

// Assumed are figures that no data sheet has. They are published measurements of others, and hold until `llmc gpubench` has measured the card.
type Assumed struct {
	ReadShare  float64 // of ReadBytes that long reads get
	MathShare  float64 // of the peak that the best products of matrices get at the power limit
	MmaSync    float64 // of the peak that is in reach of mma.sync: 1 but where wgmma is the way
	Latency    float64 // seconds that a read of memory takes under load
	LaunchGap  float64 // seconds from the last CTA of a launch of a graph to the first of the next at work
	EarlyGap   float64 // likewise to a launch that starts while the one before ends (Code.Early); nobody's measurement, half of LaunchGap
	CyclesRead float64 // bytes that a multiprocessor takes in from the L2 cache in a cycle
}

// Sources: shares of memory are BabelStream's (A100 and H100 near 0.92); of matrix units those of cuBLAS in shared benchmarks (H100 770 to 800 of 989);
// mma.sync on H100 "Benchmarking and Dissecting the Nvidia Hopper GPU Architecture via Microbenchmarking" (2024); the gap Hazy Research, "Look Ma, No
// Bubbles!" (2025), 1.3 us on H100 with graphs; latency and the width of the L2 port the same microbenchmarks.
var (
	assumedHopper = Assumed{ReadShare: 0.92, MathShare: 0.80, MmaSync: 0.62, Latency: 0.7e-6, LaunchGap: 1.3e-6, EarlyGap: 0.65e-6, CyclesRead: 64}
	assumedAmpere = Assumed{ReadShare: 0.92, MathShare: 0.88, MmaSync: 1, Latency: 0.6e-6, LaunchGap: 1.3e-6, EarlyGap: 0.65e-6, CyclesRead: 64}
	assumedAda    = Assumed{ReadShare: 0.92, MathShare: 0.85, MmaSync: 1, Latency: 0.6e-6, LaunchGap: 1.3e-6, EarlyGap: 0.65e-6, CyclesRead: 64}
)

// Limits that all cards have: registers of a multiprocessor, the granules in which warps get them, and what the system takes of shared memory for a CTA.
const (
	RegistersOfSM    = 64 << 10
	RegisterGranule  = 256 // of a warp
	SharedGranule    = 128 // bytes
	ReservedShared   = 1 << 10
	WarpsIssuedCycle = 4 // warp instructions of a multiprocessor in a cycle
)

// Cards lists the GPUs that predictions are made for.
var Cards = []Card{
	{Name: "a100", Doc: "A100 SXM, 80 GB", Target: "sm80", SMs: 108, Clock: 1.41e9, Memory: 80e9, ReadBytes: 2.039e12, L2: 40 << 20, L2Cycle: 5120,
		F32: 19.5e12, BF16: 312e12, Int8: 624e12, SharedMemory: 164 << 10, Threads: 2048, CTAs: 32, Assumed: assumedAmpere},
	{Name: "l40s", Doc: "L40S, 48 GB", Target: "sm89", SMs: 142, Clock: 2.52e9, Memory: 48e9, ReadBytes: 0.864e12, L2: 96 << 20, L2Cycle: 3072,
		F32: 91.6e12, BF16: 362e12, Int8: 733e12, FP8: 733e12, SharedMemory: 100 << 10, Threads: 1536, CTAs: 24, Assumed: assumedAda},
	{Name: "h100", Doc: "H100 SXM, 80 GB", Target: "sm90", SMs: 132, Clock: 1.83e9, Memory: 80e9, ReadBytes: 3.35e12, L2: 50 << 20, L2Cycle: 5120,
		F32: 66.9e12, BF16: 989.4e12, Int8: 1978.9e12, FP8: 1978.9e12, SharedMemory: 228 << 10, Threads: 2048, CTAs: 32, Assumed: assumedHopper},
	{Name: "h200", Doc: "H200 SXM, 141 GB", Target: "sm90", SMs: 132, Clock: 1.83e9, Memory: 141e9, ReadBytes: 4.8e12, L2: 50 << 20, L2Cycle: 5120,
		F32: 66.9e12, BF16: 989.4e12, Int8: 1978.9e12, FP8: 1978.9e12, SharedMemory: 228 << 10, Threads: 2048, CTAs: 32, Assumed: assumedHopper},
}

// FindCard returns the card of a name.
func FindCard(name string) (*Card, error) {
	for i := range Cards {
		if Cards[i].Name == name {
			return &Cards[i], nil
		}
	}
	return nil, fmt.Errorf("unknown card %q; known are %s", name, strings.Join(CardNames(), ", "))
}

// CardNames lists what FindCard takes.
func CardNames() (names []string) {
	for i := range Cards {
		names = append(names, Cards[i].Name)
	}
	return names
}

// Runs tells whether the card runs the code of a target.
func (c *Card) Runs(t Target) bool {
	own, err := FindTarget(c.Target)
	return err == nil && t.ServedBy == "" && t.RunsOn(own.SM)
}
