package gguf

import (
	"fmt"
	"math"
	"strings"

	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// A block of NVFP4 is 64 elements in 36 bytes: four scales of e4m3 without a sign, of 16 elements each, then the codes of these, eight bytes with elements i and 8+i in their halves
// (ggml, block_nvfp4). What multiplies all of a matrix is a tensor beside it, X.scale for X.weight, of experts one number each; X.input_scale is left out.
const (
	nvBlock = 64
	nvBytes = 36
	nvGroup = 16
)

// partNVFP4 is a scale of 16 elements. What would be no number is zero.
func partNVFP4(c byte) float32 {
	if c &= 0x7f; c == 0x7f {
		return 0
	}
	return dtype.E4M3ToF32(c)
}

// decodeNVFP4: codes of e2m1 times the product of the group's scale and the matrix's.
func decodeNVFP4(dst []float32, src []byte, of float32) {
	for ; len(src) >= nvBytes; dst, src = dst[nvBlock:], src[nvBytes:] {
		for g, c := range src[:nvBlock/nvGroup] {
			scale, out := float32(partNVFP4(c)*of), dst[nvGroup*g:][:nvGroup]
			for i, code := range src[nvBlock/nvGroup+nvGroup/2*g:][:nvGroup/2] {
				out[i], out[i+nvGroup/2] = dtype.E2M1ToF32(code)*scale, dtype.E2M1ToF32(code>>4)*scale
			}
		}
	}
}

func decodePlainNVFP4(dst []float32, src []byte) { decodeNVFP4(dst, src, 1) }

// codesNVFP4 gives the row scale 1, behind those of groups: ReadCodes knows better.
func codesNVFP4(r *codedRow, src []byte) {
	codes, scales := r.codes, r.scales
	for ; len(src) >= nvBytes; codes, scales, src = codes[nvBlock:], scales[nvBlock/nvGroup:], src[nvBytes:] {
		for g, c := range src[:nvBlock/nvGroup] {
			scales[g] = partNVFP4(c)
			for i, code := range src[nvBlock/nvGroup+nvGroup/2*g:][:nvGroup/2] {
				codes[nvGroup*g+i], codes[nvGroup*g+i+nvGroup/2] = code&15, code>>4
			}
		}
	}
	scales[0] = 1
}

// Ends of the names of what multiplies a matrix of NVFP4, and its inputs.
const (
	scaleEnd      = ".scale"
	inputScaleEnd = ".input_scale"
)

// scales tells whether a tensor belongs to a matrix of NVFP4.
func (m *model) scales(info *tensorInfo) bool {
	for _, end := range []string{scaleEnd, inputScaleEnd} {
		if stem, ok := strings.CutSuffix(info.name, end); ok {
			weight := m.tensor(stem + ".weight")
			return weight != nil && weight.kind.scaled != nil
		}
	}
	return false
}

// scaleOf returns what multiplies a matrix, of experts one of so many: 1 where no tensor says.
func (m *model) scaleOf(name string, expert, experts int64) (float32, error) {
	name = strings.TrimSuffix(name, ".weight") + scaleEnd
	for _, f := range m.files {
		for i := range f.infos {
			info := &f.infos[i]
			if info.name != name {
				continue
			}
			if len(info.shape) != 1 || info.shape[0] != experts || info.kind.number != dtype.F32 || info.kind.decode != nil {
				return 0, info.errorf(f.Name, "must hold %d numbers of F32, has shape %v of %s", experts, info.shape, info.kind.name)
			}
			of := make([]float32, 1)
			if err := newRows(f.Mapped, info).ReadRows(of, expert); err != nil {
				return 0, info.errorf(f.Name, "%w", err)
			}
			if size := math.Abs(float64(of[0])); !(size <= quant.MostRowScale) || size != 0 && size < quant.LeastRowScale {
				return 0, info.errorf(f.Name, "%w", fmt.Errorf("is %g, which is no scale of a weight", of[0]))
			}
			return of[0], nil
		}
	}
	return 1, nil
}
