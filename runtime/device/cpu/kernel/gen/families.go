package main

import (
	"fmt"
	"strings"
)

// linearFamily is one kind of linear kernel.
type linearFamily struct {
	kind  string // constant of package kernel
	write func(t isa, rows int) *function
	tile  map[string]int // most rows, by isa name; absent: the isa adds nothing to the one before
}

var linearFamilies = []linearFamily{
	{"kindF32", linearFloat(dotF32), map[string]int{"AVX2": 6, "AVX512": 12}},
	{"kindBF16", linearFloat(dotBF16s), map[string]int{"AVX2": 6, "AVX512": 12, "BF16": 12}},
	{"kindU8", linearU8, map[string]int{"AVX2": 4, "AVX512": 8, "VNNI": 12}},
	{"kindU4", linearU4(u4Variants[0]), u4Tiles},
	{"kindU4Scale32", linearU4(u4Variants[1]), u4Tiles},
	{"kindU4Zeros", linearU4(u4Variants[2]), u4Tiles},
	{"kindU4ZerosScale32", linearU4(u4Variants[3]), u4Tiles},
}

var u4Tiles = map[string]int{"AVX2": 4, "AVX512": 4, "VNNI": 6}

// linearUnits writes one file per instruction set.
func linearUnits() []unit {
	var units []unit
	for _, t := range []isa{avx2, avx512, vnni, bf16} {
		u := unit{file: "zlinear_" + strings.ToLower(t.name)}
		var table strings.Builder
		fmt.Fprintf(&table, "// linearKernels%s are the linear kernels that %s adds.\nvar linearKernels%s = [linearKinds]linearKernels{\n", t.name, t.target, t.name)
		for _, family := range linearFamilies {
			tile := family.tile[t.name]
			if tile == 0 {
				continue
			}
			fmt.Fprintf(&table, "\t%s: {tile: %d, rows: [maxTile + 1]linearFunc{", family.kind, tile)
			for rows := 1; rows <= tile; rows++ {
				f := family.write(t, rows)
				u.functions = append(u.functions, f)
				fmt.Fprintf(&table, "%d: %s, ", rows, f.name)
			}
			table.WriteString("}},\n")
		}
		u.table = table.String() + "}\n"
		units = append(units, u)
	}
	return units
}
