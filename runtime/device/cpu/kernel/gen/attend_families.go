package main

import (
	"fmt"
	"slices"
	"strings"
)

// attendTiles are the most rows of score and value kernels.
func attendTiles(kind dotKind, t isa) (score, value int) {
	if t.wide() && kind.name != "i8" {
		return 12, 6
	}
	return 6, 6
}

func upper(name string) string { return strings.ToUpper(name) }

// attendKinds are the kinds of cache.
var attendKinds = []dotKind{dotF32, dotBF16s, dotF16, dotE4M3, dotI8, dotI16}

// betterKinds are those that an instruction set does better than AVX-512 alone; absent: all.
var betterKinds = map[string][]string{vnni.name: {dotI8.name, dotI16.name}, bf16.name: {dotBF16s.name}}

// attendOthers writes what a kind of cache needs beside products, and the fields of its table row.
func attendOthers(kind dotKind, t isa) (functions []*function, fields string) {
	if kind.lane < 4 || kind.codes {
		if t.vnni && !t.bf16 { // as AVX-512, which has the functions
			_, fields = convertAndWeigh(kind, avx512)
			return nil, fields
		}
		return convertAndWeigh(kind, t)
	}
	f := softmax(kind, t)
	functions = append(functions, f)
	fields = fmt.Sprintf("\t\tsoftmax: %s,\n", f.name)
	if kind.name == "f32" {
		return functions, fields + "\t\tstoreKey: storeKeyF32,\n\t\tstoreValue: [2]storeFunc{storeValueF32, storeValueF32},\n"
	}
	key, even, odd := storeKey(t), storeValue(t, false), storeValue(t, true)
	fields += fmt.Sprintf("\t\tstoreKey: %s,\n\t\tstoreValue: [2]storeFunc{%s, %s},\n", key.name, even.name, odd.name)
	return append(functions, key, even, odd), fields
}

// convertAndWeigh is attendOthers of elements that are converted by themselves.
func convertAndWeigh(kind dotKind, t isa) (functions []*function, fields string) {
	add := func(field string, f *function) {
		functions, fields = append(functions, f), fields+fmt.Sprintf("\t\t%s: %s,\n", field, f.name)
	}
	if !kind.whole { // the softmax is that of f32
		fields = fmt.Sprintf("\t\tsoftmax: softmaxF32%s,\n", t.name)
	}
	add("convert", convert(kind, t))
	if kind.codes {
		add("widen", widenScales(kind, t))
	}
	if kind.whole {
		add("weigh", weigh(t))
	}
	return functions, fields
}

// attendUnits writes one file per instruction set.
func attendUnits() []unit {
	var units []unit
	for _, t := range []isa{avx2, avx512, vnni, bf16} {
		u := unit{file: "zattend_" + strings.ToLower(t.name)}
		var table strings.Builder
		fmt.Fprintf(&table, "var attendKernels%s = [kvKinds]attendKernels{\n", t.name)
		for _, kind := range attendKinds {
			if better, ok := betterKinds[t.name]; ok && !slices.Contains(better, kind.name) {
				continue // nothing better than AVX-512
			}
			add := func(field, array string, tile int, write func(kind dotKind, t isa, rows int) *function) {
				fmt.Fprintf(&table, "\t\t%s: %s{", field, array)
				for rows := 1; rows <= tile; rows++ {
					f := write(kind, t, rows)
					u.functions = append(u.functions, f)
					fmt.Fprintf(&table, "%d: %s, ", rows, f.name)
				}
				table.WriteString("},\n")
			}
			scores, values := attendTiles(kind, t)
			fmt.Fprintf(&table, "\tkv%s: {\n\t\tscoreTile: %d, valueTile: %d,\n", upper(kind.name), scores, values)
			if kind.whole || kind.name == dotI8.name {
				fmt.Fprintf(&table, "\t\tvalueColumns: %d,\n", map[bool]int{false: 64, true: 256}[t.wide()])
			}
			if kind.name == "i8" {
				add("score", "[maxTile + 1]scoreFunc", scores, func(_ dotKind, t isa, rows int) *function { return scoreI8(t, rows) })
				add("values", "[maxValueTile + 1]integerValueFunc", values, func(_ dotKind, t isa, rows int) *function { return valueI8(t, rows) })
			} else if kind.whole {
				add("score", "[maxTile + 1]scoreFunc", scores, score)
				add("values", "[maxValueTile + 1]integerValueFunc", values, valueWords)
			} else {
				add("score", "[maxTile + 1]scoreFunc", scores, score)
				add("narrow", "[maxValueTile + 1]valueFunc", values, value("narrow", positions))
				add("wide", "[maxValueTile + 1]valueFunc", values, value("wide", wideNV))
			}
			if t.name == avx512.name && (kind.name == "bf16" || kind.name == "i8") {
				u.functions = append(u.functions, turn(kind, t))
			}
			others, fields := attendOthers(kind, t)
			u.functions = append(u.functions, others...)
			table.WriteString(fields)
			table.WriteString("\t},\n")
		}
		u.table = table.String() + "}\n"
		units = append(units, u)
	}
	return units
}
