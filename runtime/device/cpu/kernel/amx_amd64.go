package kernel

// Numbers of rows from which tiles are faster than vectors, where both give the same bits.
const (
	fewRows   = 4
	fewRowsU4 = 24 // panels have to be expanded
	// Panels of u4n too, which vectors do for themselves.
	fewRowsNested = 4
)

// kernelsAMX are the linear kernels that x86-64-v4-amx adds.
var kernelsAMX = [linearKinds]amxTable{
	kindBF16:           {whole: [maxDigits + 1]amxKernel{1: {minRows: 1, multiply: tileBF16AMX, few: tileBF16fewAMX, pack: packRow1AMX}}},
	kindU8:             amxTableU8(fewRows, nil, nil),
	kindU4Nested:       amxTableU8(fewRowsNested, tileNestedAMX, tileNesteddigitsAMX),
	kindU4:             amxTableU4(expandu4AMX, expandBF16u4AMX),
	kindU4Scale32:      amxTableU4(expandu4sAMX, expandBF16u4sAMX),
	kindU4Zeros:        amxTableU4(expandu4zAMX, expandBF16u4zAMX),
	kindU4ZerosScale32: amxTableU4(expandu4zsAMX, expandBF16u4zsAMX),
	kindU4Levels:       {short: amxTableU4(nil, expandBF16u4eAMX).short}, // groups are of 32
}

func amxTableU8(rows int, fused, fusedDigits func(a *amxArgs)) amxTable {
	return amxTable{whole: [maxDigits + 1]amxKernel{
		1: {minRows: rows, multiply: tileU8AMX, fused: fused, pack: packRow1AMX},
		2: {minRows: rows, multiply: tileU8digitsAMX, fused: fusedDigits, pack: packRow2AMX},
	}}
}

func amxTableU4(bytes, bf16s func(a *expandArgs)) amxTable {
	return amxTable{
		short: [maxDigits + 1]amxKernel{
			1: {minRows: fewRowsU4, multiply: tileU4joinedAMX, expand: bf16s, joined: true, pack: packCodes1AMX},
			2: {minRows: fewRowsU4, multiply: tileU4joineddigitsAMX, expand: bf16s, joined: true, pack: packCodes2AMX},
		},
		whole: [maxDigits + 1]amxKernel{
			1: {minRows: fewRowsU4, multiply: tileU4AMX, expand: bytes, joined: false, pack: packRow1AMX},
			2: {minRows: fewRowsU4, multiply: tileU4digitsAMX, expand: bytes, joined: false, pack: packRow2AMX},
		},
	}
}
