// Package numa knows which processors and which memory of a machine lie together, keeps threads on such a node, and memory with them. Machines of one node, and systems that
// tell nothing, have one; nothing is done there.
package numa

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Node is some processors and the memory beside them.
type Node struct {
	ID   int
	CPUs []int // that this process may use, ascending
}

// Sysfs is where Linux tells of its nodes.
const Sysfs = "/sys/devices/system/node"

// Read returns the nodes below a directory like Sysfs that have memory and some of the allowed processors, ascending. nil: there are none, or the directory tells nothing.
func Read(dir string, allowed []int) []Node {
	withMemory, err := readList(filepath.Join(dir, "has_memory"))
	if err != nil {
		return nil
	}
	var nodes []Node
	for _, id := range withMemory {
		cpus, err := readList(filepath.Join(dir, fmt.Sprintf("node%d", id), "cpulist"))
		if err != nil {
			return nil
		}
		cpus = slices.DeleteFunc(cpus, func(cpu int) bool { return !slices.Contains(allowed, cpu) })
		if len(cpus) > 0 {
			nodes = append(nodes, Node{id, cpus})
		}
	}
	return nodes
}

// readList reads a list of numbers as Linux writes it: 0-3,8,10-11.
func readList(path string) (list []int, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	const most = 1 << 16 // of either end
	for _, part := range strings.Split(strings.TrimSpace(string(text)), ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		to := from
		if isRange {
			if to, err = strconv.Atoi(last); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
		if from < 0 || to < from || to > most {
			return nil, fmt.Errorf("%s: %q is no range", path, part)
		}
		for ; from <= to; from++ {
			list = append(list, from)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// Assign returns the node of each worker: workers that follow each other share one, and nodes have as many as they have processors, or their part of those.
func Assign(workers int, nodes []Node) []Node {
	total := 0
	for _, n := range nodes {
		total += len(n.CPUs)
	}
	list := make([]Node, workers)
	for w := range list {
		at := (2*w + 1) * total // the middle of the worker's part of all processors, in units of 1/(2*workers)
		list[w] = nodes[len(nodes)-1]
		for _, n := range nodes {
			if at -= 2 * workers * len(n.CPUs); at < 0 {
				list[w] = n
				break
			}
		}
	}
	return list
}

// IDs returns the numbers of nodes, ascending, each once.
func IDs(nodes []Node) (ids []int) {
	for _, n := range nodes {
		ids = append(ids, n.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
