package kernel

import (
	"slices"

	"llmc/internal/amx"

	"golang.org/x/sys/cpu"
)

// The features of each target row, as the row names them.
var (
	featuresV3 = []feature{{"avx2", &cpu.X86.HasAVX2}, {"fma", &cpu.X86.HasFMA}, {"f16c", &cpu.X86.HasF16C},
		{"bmi1", &cpu.X86.HasBMI1}, {"bmi2", &cpu.X86.HasBMI2}}
	featuresV4 = slices.Concat(featuresV3, []feature{{"avx512f", &cpu.X86.HasAVX512F}, {"avx512bw", &cpu.X86.HasAVX512BW},
		{"avx512cd", &cpu.X86.HasAVX512CD}, {"avx512dq", &cpu.X86.HasAVX512DQ}, {"avx512vl", &cpu.X86.HasAVX512VL}})
	featuresVNNI = slices.Concat(featuresV4, []feature{{"avx512_vnni", &cpu.X86.HasAVX512VNNI}})
	featuresBF16 = slices.Concat(featuresVNNI, []feature{{"avx512_bf16", &cpu.X86.HasAVX512BF16}})
	featuresAMX  = slices.Concat(featuresBF16, []feature{{"amx_tile", &amx.Usable}, {"amx_int8", &cpu.X86.HasAMXInt8}, {"amx_bf16", &cpu.X86.HasAMXBF16}})
)

// archSets returns the sets in assembly. Each starts as the one before and replaces what its instructions do better.
func archSets() []*Set {
	v3 := genericSet()
	v3.Name, v3.needs = "x86-64-v3", featuresV3
	v3.row, v3.fold, v3.attend = rowKernelsAVX2, foldKernelsAVX2, attendKernelsAVX2
	v3.state = stateKernelsAVX2
	v3.nestedSums = true
	v3.replaceLinear(&linearKernelsAVX2)
	v3.wide = wideAVX2()
	v3.open = openKernelsAVX2

	v4 := *v3
	v4.Name, v4.needs = "x86-64-v4", featuresV4
	v4.rounding.apart = true
	v4.row, v4.fold, v4.attend = rowKernelsAVX512, foldKernelsAVX512, attendKernelsAVX512
	v4.state = stateKernelsAVX512
	v4.turn[kvBF16], v4.turn[kvI8] = turnBlocks(kvBF16, turnBF16AVX512), turnBlocks(kvI8, turnI8AVX512)
	v4.turn[kvI16] = turnBlocks(kvI16, turnBF16AVX512)
	v4.replaceLinear(&linearKernelsAVX512)
	v4.wide = widenings{}
	v4.open = openKernelsAVX512

	vnni := v4
	vnni.Name, vnni.needs = "x86-64-v4-vnni", featuresVNNI
	vnni.attend[kvI8], vnni.attend[kvI16] = attendKernelsVNNI[kvI8], attendKernelsVNNI[kvI16]
	vnni.nested, vnni.nestedSums = expandNestedVNNI, false
	vnni.replaceLinear(&linearKernelsVNNI)
	vnni.wide = wideVNNI(&vnni)

	bf16 := vnni
	bf16.Name, bf16.needs = "x86-64-v4-bf16", featuresBF16
	bf16.rounding.flush = true
	bf16.row.toBF16 = toBF16BF16
	bf16.attend[kvBF16] = attendKernelsBF16[kvBF16]
	bf16.replaceLinear(&linearKernelsBF16)

	tiles := bf16
	tiles.Name, tiles.needs = "x86-64-v4-amx", featuresAMX
	tiles.rounding.tiles = true
	tiles.amx = kernelsAMX
	tiles.tileAttend = tileAttendKernels{tileScoresAMX, tileScoresfewAMX, tileValuesAMX, tileValuesfewAMX}
	tiles.tileI8 = tileI8Kernels{scores: tileScoresI8AMX, values: tileValuesI8AMX, pack: packRow2AMX}
	return []*Set{v3, &v4, &vnni, &bf16, &tiles}
}

// replaceLinear takes over the kernels that the table has.
func (s *Set) replaceLinear(table *[linearKinds]linearTable) {
	for kind := range table {
		for digits, kernels := range table[kind] {
			if kernels.tile > 0 {
				s.linear[kind][digits] = kernels
			}
		}
	}
	s.linear[kindBF16Groups] = s.linear[kindBF16]
}
