package gpubench

import (
	"regexp"
	"slices"

	"llmc/engine"
	"llmc/runtime/device/gpu"
)

// group is launches that are alike: those of a kernel in the same place of each layer.
type group struct {
	name, kernel string
	label        string // of the first
	launches     []int
}

var firstNumber = regexp.MustCompile(`^(\D*)\d+`)

// groupsOf puts launches together whose labels differ in the first number, which is that of the layer.
func groupsOf(times []engine.LaunchTime) []group {
	var groups []group
	for i, t := range times[:len(times)-1] { // the last one is the host
		name := firstNumber.ReplaceAllString(t.Label, "${1}*")
		at := slices.IndexFunc(groups, func(g group) bool { return g.name == name && g.kernel == t.Kernel })
		if at < 0 {
			at = len(groups)
			groups = append(groups, group{name: name, kernel: t.Kernel, label: t.Label})
		}
		groups[at].launches = append(groups[at].launches, i)
	}
	return groups
}

// alike are the launches of the group that have something to do, and as much as any: behind the last attention there may be sampled rows alone.
func (g *group) alike(again *gpu.Repeater) []int {
	var launches []int
	most := 0.0
	for _, i := range g.launches {
		if !again.Runs(i) {
			continue
		}
		cost := again.Cost([]int{i})
		if cost.Flops+cost.Traffic > most {
			most, launches = cost.Flops+cost.Traffic, launches[:0]
		}
		if cost.Flops+cost.Traffic == most {
			launches = append(launches, i)
		}
	}
	return launches
}
