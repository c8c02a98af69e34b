package proc

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// telling are the features of processors that figures depend on, as /proc/cpuinfo names them, with their usual names.
var telling = []struct{ flag, name string }{{"avx2", "AVX2"}, {"avx512f", "AVX-512"}, {"avx512_vnni", "VNNI"}, {"avx512_bf16", "BF16"}, {"amx_tile", "AMX"}}

// Machine says in a line what figures were measured on.
func Machine() string {
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	memory, _ := os.ReadFile("/proc/meminfo")
	return machine(string(cpu), string(memory), runtime.NumCPU())
}

func machine(cpu, memory string, processors int) string {
	model := field(cpu, "model name")
	if model == "" {
		model = runtime.GOARCH
	}
	flags := strings.Fields(field(cpu, "flags"))
	var names []string
	for _, f := range telling {
		if slices.Contains(flags, f.flag) {
			names = append(names, f.name)
		}
	}
	said := []string{fmt.Sprintf("%s, %d processors", model, processors)}
	if len(names) > 0 {
		said = append(said, strings.Join(names, " "))
	}
	if kilobytes, err := strconv.ParseInt(strings.TrimSuffix(field(memory, "MemTotal"), " kB"), 10, 64); err == nil {
		said = append(said, fmt.Sprintf("%d GiB", (kilobytes+1<<19)>>20))
	}
	return strings.Join(said, ", ")
}

// field is what follows the first line's name and colon.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
