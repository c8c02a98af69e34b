package kernel

// fewRows is the number of rows from which tiles are faster than vectors, where both give the same bits.
const fewRows = 4

// kernelsAMX are the linear kernels that x86-64-v4-amx adds.
var kernelsAMX = [linearKinds]amxTable{
	kindBF16: {whole: [maxDigits + 1]amxKernel{1: {1, tileBF16AMX, nil, packRow64x1AMX}}},
	kindU8: {whole: [maxDigits + 1]amxKernel{
		1: {fewRows, tileU8AMX, nil, packRow64x1AMX},
		2: {fewRows, tileU8digitsAMX, nil, packRow64x2AMX},
	}},
	kindU4:             amxTableU4(expandu4AMX),
	kindU4Scale32:      amxTableU4(expandu4sAMX),
	kindU4Zeros:        amxTableU4(expandu4zAMX),
	kindU4ZerosScale32: amxTableU4(expandu4zsAMX),
}

func amxTableU4(expand func(a *expandArgs)) amxTable {
	return amxTable{
		short: [maxDigits + 1]amxKernel{
			1: {fewRows, tileU4k32x1AMX, expand, packRow32x1AMX},
			2: {fewRows, tileU4k32x2AMX, expand, packRow32x2AMX},
		},
		whole: [maxDigits + 1]amxKernel{
			1: {fewRows, tileU4k64x1AMX, expand, packRow64x1AMX},
			2: {fewRows, tileU4k64x2AMX, expand, packRow64x2AMX},
		},
	}
}
