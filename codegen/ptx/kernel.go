package ptx

import (
	"crypto/sha256"
	"fmt"
)

// Kernel is what a launch needs to know about a kernel, and what a plan records.
type Kernel struct {
	Name          string
	Threads       int
	MinCTAs       int
	Args          []Arg
	StaticShared  int // bytes
	DynamicShared DynamicShared
	Registers     int      // estimate by liveness; the assembler's number differs
	Version       Version  // lowest PTX version for this kernel alone
	Hash          [32]byte // SHA-256 of the kernel's text
	Regions       []Region
}

// DynamicShared is how much dynamic shared memory a launch must ask for.
type DynamicShared struct {
	Fixed   int    // bytes
	PerUnit int    // bytes for each unit, when the last region is open
	Unit    string // what is counted, such as "positions"
}

// Bytes is the size for that many units.
func (d DynamicShared) Bytes(units int) int { return d.Fixed + d.PerUnit*units }

// Units is how many units fit the target beside the static shared memory.
func (k *Kernel) Units(t Target) int {
	if k.DynamicShared.PerUnit == 0 {
		return 0
	}
	return (t.OptInShared - k.StaticShared - k.DynamicShared.Fixed) / k.DynamicShared.PerUnit
}

// Kernels describes the kernels in the order in which they were added. It fails as Print does.
func (m *Module) Kernels() ([]Kernel, error) {
	if err := m.Verify(); err != nil {
		return nil, err
	}
	var out []Kernel
	for _, k := range m.kernels {
		registers, _ := k.registers()
		p := &printer{}
		p.kernel(k)
		info := Kernel{
			Name: k.name, Threads: k.launch.Threads, MinCTAs: k.launch.MinCTAs, Args: append([]Arg(nil), k.params...),
			StaticShared: k.staticBytes(), DynamicShared: DynamicShared{k.dyn.size(), k.dyn.perUnit, k.dyn.unit},
			Registers: registers, Version: k.version(), Hash: sha256.Sum256([]byte(p.b.String())),
		}
		for _, r := range k.shared {
			info.Regions = append(info.Regions, Region{Name: r.Name, Bytes: r.Bytes, Align: r.Align, Dynamic: r.Dynamic, Offset: r.Offset})
		}
		out = append(out, info)
	}
	return out, nil
}

// Counts tells how often each instruction appears in the kernel's text, by mnemonic, for tests of what a kernel uses.
func (m *Module) Counts(kernel string) (map[string]int, error) {
	for _, k := range m.kernels {
		if k.name != kernel {
			continue
		}
		counts := map[string]int{}
		k.top.each(func(n node) {
			if i, ok := n.(*instruction); ok {
				counts[i.describe()]++
			}
		})
		return counts, nil
	}
	return nil, fmt.Errorf("ptx: no kernel %q in the module", kernel)
}

// version is the lowest PTX version for the kernel.
func (k *kernel) version() Version {
	v := max(lowestVersion, k.module.target.Version)
	k.top.each(func(n node) {
		if i, ok := n.(*instruction); ok && i.form != nil {
			if need, ok := i.form.version(k.module.target); ok {
				v = max(v, need)
			}
		}
	})
	return v
}
