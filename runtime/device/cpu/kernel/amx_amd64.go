package kernel

// Numbers of rows from which tiles are faster than vectors, where both give the same bits.
const (
	fewRows   = 4
	fewRowsU4 = 24 // panels have to be expanded
)

// kernelsAMX are the linear kernels that x86-64-v4-amx adds.
var kernelsAMX = [linearKinds]amxTable{
	kindBF16: {whole: [maxDigits + 1]amxKernel{1: {minRows: 1, multiply: tileBF16AMX, few: tileBF16fewAMX, pack: packRow1AMX, gate: gateRowsAMX}}},
	kindU8: {whole: [maxDigits + 1]amxKernel{
		1: {minRows: fewRows, multiply: tileU8AMX, pack: packRow1AMX, gate: gateRowsAMX},
		2: {minRows: fewRows, multiply: tileU8digitsAMX, pack: packRow2AMX, gate: gateRowsAMX},
	}},
	kindU4:             amxTableU4(expandu4AMX, expandBF16u4AMX),
	kindU4Scale32:      amxTableU4(expandu4sAMX, expandBF16u4sAMX),
	kindU4Zeros:        amxTableU4(expandu4zAMX, expandBF16u4zAMX),
	kindU4ZerosScale32: amxTableU4(expandu4zsAMX, expandBF16u4zsAMX),
}

func amxTableU4(bytes, bf16s func(a *expandArgs)) amxTable {
	return amxTable{
		short: [maxDigits + 1]amxKernel{
			1: {fewRowsU4, tileU4joinedAMX, nil, bf16s, true, packCodes1AMX, nil},
			2: {fewRowsU4, tileU4joineddigitsAMX, nil, bf16s, true, packCodes2AMX, nil},
		},
		whole: [maxDigits + 1]amxKernel{
			1: {fewRowsU4, tileU4AMX, nil, bytes, false, packRow1AMX, nil},
			2: {fewRowsU4, tileU4digitsAMX, nil, bytes, false, packRow2AMX, nil},
		},
	}
}
