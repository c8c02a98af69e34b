package engine

import (
	"fmt"
	"strings"

	"golang.org/x/sys/cpu"
)

// Target is an exact feature set that a program is built for. A program runs where every feature is present.
type Target struct {
	Name     string
	Device   string // Device.Name that runs it
	Features []string
	Doc      string
}

var (
	featuresV3   = []string{"avx2", "fma", "f16c", "bmi1", "bmi2"}
	featuresV4   = append(featuresV3[:len(featuresV3):len(featuresV3)], "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
	featuresVNNI = append(featuresV4[:len(featuresV4):len(featuresV4)], "avx512_vnni")
	featuresBF16 = append(featuresVNNI[:len(featuresVNNI):len(featuresVNNI)], "avx512_bf16")
)

// Targets lists every target, from the least to the most demanding of each device.
var Targets = []Target{
	{"x86-64-v3", "cpu", featuresV3, "AVX2 and FMA (2013 and later)"},
	{"x86-64-v4", "cpu", featuresV4, "AVX-512"},
	{"x86-64-v4-vnni", "cpu", featuresVNNI, "AVX-512 with 8-bit dot products"},
	{"x86-64-v4-bf16", "cpu", featuresBF16, "AVX-512 with 8-bit and bfloat16 dot products"},
}

// hostFeature maps the feature names of Targets to what the processor (and the operating system) offers.
var hostFeature = map[string]*bool{
	"avx2": &cpu.X86.HasAVX2, "fma": &cpu.X86.HasFMA, "f16c": &cpu.X86.HasAVX2, "bmi1": &cpu.X86.HasBMI1, "bmi2": &cpu.X86.HasBMI2,
	"avx512f": &cpu.X86.HasAVX512F, "avx512bw": &cpu.X86.HasAVX512BW, "avx512cd": &cpu.X86.HasAVX512CD,
	"avx512dq": &cpu.X86.HasAVX512DQ, "avx512vl": &cpu.X86.HasAVX512VL,
	"avx512_vnni": &cpu.X86.HasAVX512VNNI, "avx512_bf16": &cpu.X86.HasAVX512BF16,
}

// FindTarget returns the row named name. "native" is the most demanding CPU row that this machine can run.
func FindTarget(name string) (Target, error) {
	if name == "native" {
		for i := len(Targets) - 1; i >= 0; i-- {
			if Targets[i].Device == "cpu" && len(Targets[i].Missing()) == 0 {
				return Targets[i], nil
			}
		}
		return Target{}, fmt.Errorf("this processor lacks %s, which the least demanding target %s needs",
			strings.Join(Targets[0].Missing(), ", "), Targets[0].Name)
	}
	names := make([]string, len(Targets))
	for i, t := range Targets {
		if t.Name == name {
			return t, nil
		}
		names[i] = t.Name
	}
	return Target{}, fmt.Errorf("unknown target %q; known are native, %s", name, strings.Join(names, ", "))
}

// Missing returns the features of a CPU target that this machine does not have.
func (t Target) Missing() []string {
	var missing []string
	for _, f := range t.Features {
		if has := hostFeature[f]; has == nil || !*has {
			missing = append(missing, f)
		}
	}
	return missing
}
