package ptx

import "fmt"

// Version is a PTX ISA version as 10*major + minor: 78 is 7.8.
type Version int

func (v Version) String() string { return fmt.Sprintf("%d.%d", int(v)/10, int(v)%10) }

// lowestVersion is what every module is printed with at least: CUDA 11.8, the oldest driver branch that is served.
const lowestVersion Version = 78

// Target is an architecture that PTX is written for. An architecture-specific one ("a") runs on that architecture
// alone and may use instructions that later architectures dropped.
type Target struct {
	Name     string
	SM       int
	Specific bool
	Version  Version // first PTX version that knows the target
	// Shared memory of one CTA in bytes: what it may have as declared, and at most when it opts in at launch.
	StaticShared, OptInShared int
	Registers                 int // 32-bit registers of one SM
	MaxThreads                int // of one CTA
}

// Targets that modules can be built for (CUDA C++ Programming Guide, "Technical Specifications per Compute Capability").
var (
	SM80  = Target{"sm_80", 80, false, 70, 48 << 10, 163 << 10, 64 << 10, 1024}
	SM86  = Target{"sm_86", 86, false, 71, 48 << 10, 99 << 10, 64 << 10, 1024}
	SM89  = Target{"sm_89", 89, false, 78, 48 << 10, 99 << 10, 64 << 10, 1024}
	SM90  = Target{"sm_90", 90, false, 78, 48 << 10, 227 << 10, 64 << 10, 1024}
	SM90a = Target{"sm_90a", 90, true, 80, 48 << 10, 227 << 10, 64 << 10, 1024}
)

// Targets lists all targets in order of capability.
var Targets = []Target{SM80, SM86, SM89, SM90, SM90a}

// FindTarget returns the target with that name.
func FindTarget(name string) (Target, bool) {
	for _, t := range Targets {
		if t.Name == name {
			return t, true
		}
	}
	return Target{}, false
}

// requirement is one way to be served: an architecture and the PTX version that gives it the instruction.
type requirement struct {
	sm       int
	specific bool
	version  Version
}

func (r requirement) String() string {
	suffix := ""
	if r.specific {
		suffix = "a"
	}
	return fmt.Sprintf("sm_%d%s with PTX %s", r.sm, suffix, r.version)
}

func (r requirement) servedBy(t Target) bool {
	if r.specific {
		return t.Specific && t.SM == r.sm
	}
	return t.SM >= r.sm
}
