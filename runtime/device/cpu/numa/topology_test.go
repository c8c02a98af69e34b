package numa

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// sysfs writes what Linux tells of nodes, by number.
func sysfs(t *testing.T, memory string, cpus map[int]string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("has_memory", memory)
	for id, list := range cpus {
		write(fmt.Sprintf("node%d/cpulist", id), list)
	}
	return dir
}

func TestRead(t *testing.T) {
	all := []int{0, 1, 2, 3, 4, 5, 6, 7}
	two := map[int]string{0: "0-1,4-5", 1: "2-3,6-7"}
	for _, c := range []struct {
		memory  string
		cpus    map[int]string
		allowed []int
		want    string
	}{
		{"0-1", two, all, "[{0 [0 1 4 5]} {1 [2 3 6 7]}]"},
		{"0-1", two, []int{1, 3, 7}, "[{0 [1]} {1 [3 7]}]"},
		{"0-1", two, []int{0, 4}, "[{0 [0 4]}]"},
		{"1", two, all, "[{1 [2 3 6 7]}]"}, // processors beside no memory belong to nobody
		{"0,2", map[int]string{0: "0-7", 2: ""}, all, "[]"},
		{"0-9", two, all, "[]"},
		{"0-", two, all, "[]"}, {"5-1", two, all, "[]"}, {"0-99999999", two, all, "[]"}, {"x", two, all, "[]"}, {"", two, all, "[]"},
	} {
		if got := fmt.Sprint(Read(sysfs(t, c.memory, c.cpus), c.allowed)); got != c.want {
			t.Errorf("memory %q, allowed %v: %s, want %s", c.memory, c.allowed, got, c.want)
		}
	}
	if got := Read(filepath.Join(t.TempDir(), "none"), all); got != nil {
		t.Errorf("without a directory: %v", got)
	}
}

// Workers of a node follow each other, and nodes have as many as their processors are of all, give or take one.
func TestAssign(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var nodes []Node
		total := 0
		for id := range 1 + r.IntN(6) {
			n := Node{ID: 3 * id, CPUs: make([]int, 1+r.IntN(40))}
			nodes, total = append(nodes, n), total+len(n.CPUs)
		}
		workers := 1 + r.IntN(2*total)
		list := Assign(workers, nodes)
		count := map[int]int{}
		for w, n := range list {
			if count[n.ID]++; w > 0 && n.ID < list[w-1].ID {
				t.Fatalf("%d workers on %v: worker %d is on node %d behind %d", workers, nodes, w, n.ID, list[w-1].ID)
			}
		}
		for _, n := range nodes {
			if fair := float64(workers*len(n.CPUs)) / float64(total); float64(count[n.ID]) < fair-1 || float64(count[n.ID]) > fair+1 {
				t.Fatalf("%d workers, node %d with %d of %d processors has %d", workers, n.ID, len(n.CPUs), total, count[n.ID])
			}
		}
		if ids := IDs(list); !slices.IsSorted(ids) || len(ids) > len(nodes) {
			t.Fatal(ids)
		}
	}
}
