package main

import (
	"fmt"
	"strings"
)

// linearWriter writes the kernel for rows rows whose elements have digits codes.
type linearWriter func(t isa, rows, digits int) *function

// linearFamily is one kind of linear kernel.
type linearFamily struct {
	kind  string // constant of package kernel
	write linearWriter
	tile  map[string]tiles // by isa name; absent: the isa adds nothing to the one before
}

// tiles are the most rows of a kernel, by the digits of x.
type tiles [3]int

var linearFamilies = []linearFamily{
	{"kindF32", linearFloat(dotF32), map[string]tiles{"AVX2": {1: 6}, "AVX512": {1: 12}}},
	{"kindBF16", linearFloat(dotBF16s), map[string]tiles{"AVX2": {1: 6}, "AVX512": {1: 12}, "BF16": {1: 12}}},
	{"kindU8", linearU8, map[string]tiles{"AVX2": {1: 4, 2: 2}, "AVX512": {1: 8, 2: 4}, "VNNI": {1: 12, 2: 6}}},
	{"kindU4Nested", linearNested, map[string]tiles{"AVX2": {1: 4, 2: 2}, "AVX512": {1: 4, 2: 2}, "VNNI": {1: 4, 2: 4}}},
	{"kindU4", linearU4(u4Variants[0]), u4Tiles},
	{"kindU4Scale32", linearU4(u4Variants[1]), u4Tiles},
	{"kindU4Zeros", linearU4(u4Variants[2]), u4Tiles},
	{"kindU4ZerosScale32", linearU4(u4Variants[3]), u4Tiles},
	{"kindU4Levels", linearU4(u4Variants[4]), u4Tiles},
	{"kindU4Tiered", linearU4(tieredVariant), u4Tiles},
	{"kindU4Minimums", linearU4(composedVariants[0]), u4Tiles},
	{"kindU5", linearU4(composedVariants[1]), u4Tiles},
	{"kindU4Table", linearU4(composedVariants[2]), tableTiles},
	{"kindQ2K", linearSuper(superVariants[0]), superTiles},
	{"kindQ3K", linearSuper(superVariants[1]), superTiles},
	{"kindQ4K", linearSuper(superVariants[2]), superTiles},
	{"kindQ5K", linearSuper(superVariants[3]), superTiles},
	{"kindQ6K", linearSuper(superVariants[4]), superTiles},
}

var u4Tiles = map[string]tiles{"AVX2": {1: 4, 2: 2}, "AVX512": {1: 4, 2: 2}, "VNNI": {1: 6, 2: 4}}

// linearUnits writes one file per instruction set.
func linearUnits() []unit {
	var units []unit
	for _, t := range []isa{avx2, avx512, vnni, bf16} {
		u := unit{file: "zlinear_" + strings.ToLower(t.name)}
		var table strings.Builder
		fmt.Fprintf(&table, "// linearKernels%s are the linear kernels that %s adds.\nvar linearKernels%s = [linearKinds]linearTable{\n", t.name, t.target, t.name)
		for _, family := range linearFamilies {
			if family.tile[t.name] == (tiles{}) {
				continue
			}
			fmt.Fprintf(&table, "\t%s: {\n", family.kind)
			for digits, tile := range family.tile[t.name] {
				if tile == 0 {
					continue
				}
				fmt.Fprintf(&table, "\t\t%d: {tile: %d, rows: [maxTile + 1]linearFunc{", digits, tile)
				for rows := 1; rows <= tile; rows++ {
					f := family.write(t, rows, digits)
					u.functions = append(u.functions, f)
					fmt.Fprintf(&table, "%d: %s, ", rows, f.name)
				}
				table.WriteString("}},\n")
			}
			table.WriteString("\t},\n")
		}
		u.table = table.String() + "}\n"
		if t.name == "VNNI" {
			u.functions = append(u.functions, expandNested(t))
		}
		units = append(units, u)
	}
	return units
}

// tileUnits writes the linear kernels on AMX tiles.
func tileUnits() []unit {
	u := unit{file: "ztile_amx"}
	for _, t := range tileFamilies {
		u.functions = append(u.functions, t.write())
	}
	for digits := 1; digits <= 2; digits++ {
		u.functions = append(u.functions, packRow(digits), packBF16(digits), writeTileU4(false, digits), writeTileU4(true, digits))
	}
	for _, v := range u4Variants {
		if !v.levels {
			u.functions = append(u.functions, expand(v, false))
		}
		u.functions = append(u.functions, expand(v, true))
	}
	return []unit{u}
}
