package main

import (
	"fmt"
	"strings"
)

// rowFamilies lists the row kernels: their names are those of package kernel's rowKernels and foldKernels.
var rowFamilies = []rowFamily{
	{"add", "computes dst = a + b.", "dst, a, b *float32, n int", "",
		binary(func(k *rowKernel, a, b string) { k.op("VADDPS", b, a, a) })},
	{"mul", "computes dst = a * b.", "dst, a, b *float32, n int", "",
		binary(func(k *rowKernel, a, b string) { k.op("VMULPS", b, a, a) })},
	{"swiglu", "computes dst = silu(a) * b.", "dst, a, b *float32, n int", "",
		binary(func(k *rowKernel, a, b string) {
			k.silu(a, 2)
			k.op("VMULPS", b, a, a)
		})},
	{"gateRows", "computes dst = silu(gate) * up for rows of 32 gates and 32 ups.", "dst, src unsafe.Pointer, rows, dstStride int", "", gateRows},
	{"silu", "computes dst = x / (1 + exp(-x)).", "dst, x *float32, n int", "", unary(func(k *rowKernel, x string) { k.silu(x, 1) })},
	{"exp", "computes dst = exp(x).", "dst, x *float32, n int", "", unary(func(k *rowKernel, x string) { k.exp(x, 1) })},
	{"gateCubic", "computes dst = x / (1 + exp(x*(a + b*x*x))).", "dst, x *float32, n int, a, b float32", "", gateCubic},
	{"gelu", "computes dst = x * (1 + erf(x/sqrt(2))) / 2.", "dst, x *float32, n int", "", unary(func(k *rowKernel, x string) { k.gelu(x) })},
	{"sum", "adds up x.", "x *float32, n int", "total float32", sumRow},
	{"sumSquares", "adds up the squares of x.", "x *float32, n int", "squares float32", sumSquares(false)},
	{"addSumSquares", "stores sum = x + delta and adds up its squares.", "sum, x, delta *float32, n int", "squares float32", sumSquares(true)},
	{"scaleMul", "computes dst = (x*scale)*w.", "dst, x, w *float32, n int, scale float32", "", scaleMul},
	{"maxAbs", "returns the largest magnitude of x, NaN if there is one.", "x *float32, n int", "most float32", maxAbs},
	{"maxOf", "returns the largest element of x; NaN counts as -Inf.", "x *float32, n int", "most float32", maxOf},
	{"indexOf", "returns the first index of v, which is in x.", "x *float32, n int, v float32", "index int", indexOf},
	{"sumAbs", "adds up the magnitudes of x.", "x *float32, n int", "total float32", sumAbs},
	{"toWords", "stores x*inverse as int16.", "dst *int16, x *float32, n int, inverse float32", "", toWords},
	{"quantize1", "stores the codes of x and returns their sum.", quantizeParams, quantizeResult, quantizers(1, quantize)},
	{"quantize2", "stores the codes of x in two digits and returns their sums.", quantizeParams, quantizeResult, quantizers(2, quantize)},
	{"quantizeGroups1", "quantizes whole groups and fills their entries.", groupsParams, "", quantizers(1, quantizeGroups)},
	{"quantizeGroups2", "quantizes whole groups in two digits and fills their entries.", groupsParams, "", quantizers(2, quantizeGroups)},
	{"toBF16", "rounds x to bf16.", "dst *uint16, x *float32, n int", "", toBF16},
	{"fromBF16", "widens x.", "dst *float32, x *uint16, n int", "", fromBF16},
	{"ropeHalf", "turns the pairs (x[i], x[i+half]).", "x, cos, sin *float32, half int", "", ropeHalf},
	{"ropePairs", "turns the pairs (x[2i], x[2i+1]).", "x, cos, sin *float32, half int", "", ropePairs},
	{"hadamardVectors", "multiplies each vector of x*scale with the Hadamard matrix of its lanes.", "dst, x *float32, n int, scale float32", "", hadamardVectors},
	{"hadamardPairs", "replaces numbers that are distance apart by their sum and difference.", "x *float32, n, distance int", "", hadamardPairs},
	{"hadamardQuads", "does so with one and then with twice the distance.", "x *float32, n, distance int", "", hadamardQuads},
	{"lossE4M3", "adds up the squares of what e4m3 loses of x*inverse.", "x *float32, n int, inverse float32", "squares float32", lossOf(roundE4M3)},
	{"lossU4", "adds up the squares of what codes of int4 lose of x*inverse.", "x *float32, n int, inverse float32", "squares float32", lossOf(levelU4)},
	{"codesU4", "stores the codes of int4 of x*inverse, each in a byte.", "dst unsafe.Pointer, x *float32, n int, inverse float32", "", codesU4},
	{"openU4", "makes two lines of codes of i8 of each of lines of codes of int4.", "dst, src unsafe.Pointer, lines int, ahead unsafe.Pointer", "", openU4},
	{"fold", "computes acc = fma(acc, a, part*b).", "acc, part *float32, n int, a, b float32", "", foldRow},
	{"scale", "computes dst = x*a.", "dst, x *float32, n int, a float32", "", withScalar("VMULPS")},
	{"shift", "computes dst = x - a.", "dst, x *float32, n int, a float32", "", withScalar("VSUBPS")},
}

const (
	quantizeParams = "dst *int8, x *float32, n int, scale, inverse float32"
	quantizeResult = "first, second int32"
	groupsParams   = "dst *int8, entry *layout.Entry, x *float32, groups, group int"
)

// rowUnits writes one file per instruction set.
func rowUnits() []unit {
	only := map[string]map[string]bool{"BF16": {"toBF16": true}} // what an isa does better than the one before; absent: all
	var units []unit
	for _, t := range []isa{avx2, avx512, bf16} {
		u := unit{file: "zrow_" + strings.ToLower(t.name)}
		for _, family := range rowFamilies {
			if better, ok := only[t.name]; ok && !better[family.name] {
				continue
			}
			k := &rowKernel{function: newFunction(family.name+t.name, family.doc, family.params, family.result), isa: t}
			family.write(k)
			k.end()
			u.functions = append(u.functions, k.function)
		}
		if t.name != "BF16" {
			u.table = rowTable(t)
		}
		units = append(units, u)
	}
	return units
}

// rowTable lists the functions by the fields of kernel's structs.
func rowTable(t isa) string {
	var row, fold, codes strings.Builder
	for _, family := range rowFamilies {
		switch family.name {
		case "fold", "scale", "shift":
			fmt.Fprintf(&fold, "\t%s: %s%s,\n", family.name, family.name, t.name)
		case "lossE4M3", "lossU4", "codesU4", "openU4":
			fmt.Fprintf(&codes, "%s: %s%s, ", family.name, family.name, t.name)
		case "maxOf", "indexOf", "hadamardVectors", "hadamardPairs", "hadamardQuads", "quantize1", "quantize2", "quantizeGroups1", "quantizeGroups2":
		default:
			fmt.Fprintf(&row, "\t%s: %s%s,\n", family.name, family.name, t.name)
		}
	}
	fmt.Fprintf(&row, "\thadamard: hadamardKernels{%[2]d, hadamardVectors%[1]s, hadamardPairs%[1]s, hadamardQuads%[1]s},\n", t.name, t.lanes())
	fmt.Fprintf(&row, "\tcodeKernels: codeKernels{%s},\n", strings.TrimSuffix(codes.String(), ", "))
	fmt.Fprintf(&row, "\targMax: argMaxBy(maxOf%[1]s, indexOf%[1]s),\n", t.name)
	fmt.Fprintf(&row, "\tquantize: [maxDigits + 1]quantizeFunc{1: quantize1%[1]s, 2: quantize2%[1]s},\n", t.name)
	fmt.Fprintf(&row, "\tquantizeGroups: [maxDigits + 1]quantizeGroupsFunc{1: quantizeGroups1%[1]s, 2: quantizeGroups2%[1]s},\n", t.name)
	return fmt.Sprintf("var rowKernels%s = rowKernels{\n%s}\n\nvar foldKernels%s = foldKernels{\n%s}\n", t.name, row.String(), t.name, fold.String())
}
