package quant

import "golang.org/x/sys/cpu"

// batchGroups is how many groups nestedAVX2 takes at a time.
const batchGroups = 8

//go:noescape
func spansAVX2(x, low, high *float32, groups int)

//go:noescape
func nestedAVX2(x, low, high *float32, inverse float32, codes, steps, offsets *uint8, batches int)

//go:noescape
func nestedNumbersAVX2(dst *float32, codes, steps, offsets *uint8, scale float32, groups int)

// vectorSpans fills in the ranges of as many of the first groups as vectors take: of whole ones, if the processor has them.
func vectorSpans(x, low, high []float32) (groups int) {
	if groups = len(x) / nestedGroup; groups == 0 || !cpu.X86.HasAVX2 {
		return 0
	}
	spansAVX2(&x[0], &low[:groups][0], &high[:groups][0], groups)
	return groups
}

// vectorNested fills in codes, steps and offsets of as many of the first groups as vectors take, to the bits of bestNested and assign.
func vectorNested(x, low, high []float32, inverse float32, codes, steps, offsets []uint8) (groups int) {
	groups = len(x) / nestedGroup
	if groups == 0 || !cpu.X86.HasAVX2 {
		return 0
	}
	batches := groups / batchGroups
	whole := batches * batchGroups
	if batches > 0 {
		nestedAVX2(&x[0], &low[0], &high[0], inverse, &codes[:whole*nestedGroup][0], &steps[:whole][0], &offsets[:whole][0], batches)
	}
	if whole == groups {
		return groups
	}
	var rest struct {
		x              [batchGroups * nestedGroup]float32
		low, high      [batchGroups]float32
		codes          [batchGroups * nestedGroup]uint8
		steps, offsets [batchGroups]uint8
	}
	copy(rest.x[:], x[whole*nestedGroup:groups*nestedGroup])
	copy(rest.low[:], low[whole:groups])
	copy(rest.high[:], high[whole:groups])
	nestedAVX2(&rest.x[0], &rest.low[0], &rest.high[0], inverse, &rest.codes[0], &rest.steps[0], &rest.offsets[0], 1)
	copy(codes[whole*nestedGroup:groups*nestedGroup], rest.codes[:])
	copy(steps[whole:groups], rest.steps[:])
	copy(offsets[whole:groups], rest.offsets[:])
	return groups
}

// vectorNumbers writes the numbers of as many of a row's first groups as vectors take.
func vectorNumbers(dst []float32, codes, steps, offsets []uint8, scale float32) (groups int) {
	groups = len(dst) / nestedGroup
	if groups == 0 || !cpu.X86.HasAVX2 {
		return 0
	}
	nestedNumbersAVX2(&dst[0], &codes[:groups*nestedGroup][0], &steps[:groups][0], &offsets[:groups][0], scale, groups)
	return groups
}
