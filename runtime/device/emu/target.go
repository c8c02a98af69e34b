package emu

import (
	"fmt"
	"strconv"
	"strings"
)

// architecture is a GPU's number, and the suffix that binds code to it ("a": exactly this one, "f": its family).
type architecture struct {
	number int
	suffix string
}

// parseGPU reads sm_90a or sm90a.
func parseGPU(name string) (architecture, bool) {
	rest, ok := strings.CutPrefix(name, "sm")
	rest = strings.TrimPrefix(rest, "_")
	digits := strings.TrimRight(rest, "af")
	n, err := strconv.Atoi(digits)
	g := architecture{n, rest[len(digits):]}
	return g, ok && err == nil && n >= 10 && n < 1000 && len(g.suffix) <= 1
}

// KnownArch reports whether name has the form of a GPU architecture.
func KnownArch(name string) bool {
	_, ok := parseGPU(name)
	return ok
}

// CheckTarget reports whether a module of a .target can run on a GPU (PTX ISA, ".target"): plain targets run on theirs and on all
// later GPUs, those ending in a on theirs alone, those ending in f on their family.
func CheckTarget(target, arch string) error {
	t, ok := parseGPU(target)
	if !ok {
		return fmt.Errorf("unknown .target %q", target)
	}
	a, ok := parseGPU(arch)
	if !ok {
		return fmt.Errorf("unknown architecture %q: expected a name such as sm80 or sm90a", arch)
	}
	switch {
	case t.suffix == "a" && t.number != a.number:
		return fmt.Errorf(".target %s runs on sm%d alone, not on %s", target, t.number, arch)
	case t.suffix == "f" && (t.number/10 != a.number/10 || t.number > a.number):
		return fmt.Errorf(".target %s runs on its family alone, not on %s", target, arch)
	case t.number > a.number:
		return fmt.Errorf(".target %s is newer than %s", target, arch)
	}
	return nil
}
