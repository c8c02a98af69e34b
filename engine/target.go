package engine

import (
	"fmt"
	"slices"
	"strings"

	"llmc/internal/amx"

	"golang.org/x/sys/cpu"
)

// Target is an exact feature set that a program is built for. A program runs where every feature is present.
type Target struct {
	Name     string
	Device   string // Device.Name that runs it
	Features []string
	Doc      string
	Nominal  Nominal
	// Of GPUs: compute capability as major*10 + minor, and the multiprocessors of the card that the nominal figures are of.
	SM, Cores    int
	Memory       int64  // of that card, bytes
	SharedMemory int    // bytes that a CTA can have at most
	Exact        bool   // the code runs on that capability alone, and not on those above
	Fallback     string // the target whose program runs above, and is built beside one that is exact
	ServedBy     string // the target whose program runs there: the row has no code of its own
}

// Code is the name of the target that a program for t is built as.
func (t Target) Code() string {
	if t.ServedBy != "" {
		return t.ServedBy
	}
	return t.Name
}

// MultipliesBF16 tells whether the target has instructions that multiply bf16.
func (t Target) MultipliesBF16() bool {
	return t.Device != "cpu" || slices.Contains(t.Features, "avx512_bf16")
}

// RunsOn tells whether a GPU of a compute capability runs the target's code.
func (t Target) RunsOn(sm int) bool {
	return t.Device == "cuda" && (t.SM == sm || t.SM < sm && !t.Exact)
}

// Nominal are round figures of one core, for predictions: a present server core near 3 GHz, not any one machine; of GPUs, the
// vendor's for one multiprocessor of the card that the row names. Nothing is chosen by them. Rates are multiplications and additions a second, by what the inputs of a product are.
type Nominal struct {
	ReadBytes float64 `json:"read_bytes_per_second"` // from memory
	F32       float64 `json:"f32_ops_per_second"`
	BF16      float64 `json:"bf16_ops_per_second"`
	Int8      float64 `json:"int8_ops_per_second"`
}

const (
	nominalRead     = 15e9 // bytes a second that one core reads
	nominalIssue256 = 6e9  // 256-bit multiply-adds a second: two a cycle
	nominalTiles    = 3e9  // cycles a second, in which tiles multiply 1024 bytes
	nominalIssue512 = 4e9  // 512-bit ones: between the one and the two a cycle of present cores
)

// Lanes of a multiply-add count twice, once for each operation. bf16 without instructions of its own is widened to f32; 8-bit products
// without theirs (VPMADDUBSW, VPMADDWD, VPADDD) run at half the rate.
var (
	nominalV3   = Nominal{ReadBytes: nominalRead, F32: 16 * nominalIssue256, BF16: 16 * nominalIssue256, Int8: 64 * nominalIssue256 / 2}
	nominalV4   = Nominal{ReadBytes: nominalRead, F32: 32 * nominalIssue512, BF16: 32 * nominalIssue512, Int8: 128 * nominalIssue512 / 2}
	nominalVNNI = Nominal{ReadBytes: nominalRead, F32: 32 * nominalIssue512, BF16: 32 * nominalIssue512, Int8: 128 * nominalIssue512}
	nominalAMX  = Nominal{ReadBytes: nominalRead, F32: 32 * nominalIssue512, BF16: 1024 * nominalTiles, Int8: 2048 * nominalTiles}
	nominalBF16 = Nominal{ReadBytes: nominalRead, F32: 32 * nominalIssue512, BF16: 64 * nominalIssue512, Int8: 128 * nominalIssue512}
)

var (
	featuresV3   = []string{"avx2", "fma", "f16c", "bmi1", "bmi2"}
	featuresV4   = append(featuresV3[:len(featuresV3):len(featuresV3)], "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
	featuresVNNI = append(featuresV4[:len(featuresV4):len(featuresV4)], "avx512_vnni")
	featuresBF16 = append(featuresVNNI[:len(featuresVNNI):len(featuresVNNI)], "avx512_bf16")
	featuresAMX  = append(featuresBF16[:len(featuresBF16):len(featuresBF16)], "amx_tile", "amx_int8", "amx_bf16")
)

// Targets lists every target, from the least to the most demanding of each device.
var Targets = []Target{
	{Name: "x86-64-v3", Device: "cpu", Features: featuresV3, Doc: "AVX2 and FMA (2013 and later)", Nominal: nominalV3},
	{Name: "x86-64-v4", Device: "cpu", Features: featuresV4, Doc: "AVX-512", Nominal: nominalV4},
	{Name: "x86-64-v4-vnni", Device: "cpu", Features: featuresVNNI, Doc: "AVX-512 with 8-bit dot products", Nominal: nominalVNNI},
	{Name: "x86-64-v4-bf16", Device: "cpu", Features: featuresBF16, Doc: "AVX-512 with 8-bit and bfloat16 dot products", Nominal: nominalBF16},
	{Name: "x86-64-v4-amx", Device: "cpu", Features: featuresAMX, Doc: "AMX: tiles of 8-bit and bfloat16 numbers (Intel servers from 2023 on)", Nominal: nominalAMX},
	{Name: "sm80", Device: "cuda", Doc: "Ampere; figures of an A100 of 80 GB", SM: 80, Cores: 108, Memory: 80e9, SharedMemory: 163 << 10,
		Nominal: perCore(108, 2.0e12, 19.5e12, 312e12, 624e12)},
	{Name: "sm89", Device: "cuda", Doc: "Ada; figures of an L40S", SM: 89, Cores: 142, Memory: 48e9, SharedMemory: 99 << 10,
		Nominal: perCore(142, 0.86e12, 91e12, 362e12, 733e12)},
	{Name: "sm90", Device: "cuda", Doc: "Hopper; figures of an H200", SM: 90, Exact: true, Fallback: "sm80", Cores: 132, Memory: 141e9, SharedMemory: 227 << 10,
		Nominal: perCore(132, 4.8e12, 67e12, 989e12, 1979e12)},
	{Name: "sm100", Device: "cuda", Doc: "Blackwell, served by the code of sm80; figures of a B200", SM: 100, ServedBy: "sm80", Cores: 148, Memory: 180e9, SharedMemory: 227 << 10,
		Nominal: perCore(148, 8.0e12, 75e12, 2250e12, 4500e12)},
	{Name: "sm120", Device: "cuda", Doc: "Blackwell of workstations, served by the code of sm80; figures of an RTX PRO 6000", SM: 120, ServedBy: "sm80", Cores: 188, Memory: 96e9, SharedMemory: 99 << 10,
		Nominal: perCore(188, 1.79e12, 125e12, 500e12, 1000e12)},
}

// perCore divides a card's figures among its cores.
func perCore(cores, read, f32, bf16, int8 float64) Nominal {
	return Nominal{ReadBytes: read / cores, F32: f32 / cores, BF16: bf16 / cores, Int8: int8 / cores}
}

// hostFeature maps the feature names of Targets to what the processor (and the operating system) offers.
var hostFeature = map[string]*bool{
	"avx2": &cpu.X86.HasAVX2, "fma": &cpu.X86.HasFMA, "f16c": &cpu.X86.HasAVX2, "bmi1": &cpu.X86.HasBMI1, "bmi2": &cpu.X86.HasBMI2,
	"avx512f": &cpu.X86.HasAVX512F, "avx512bw": &cpu.X86.HasAVX512BW, "avx512cd": &cpu.X86.HasAVX512CD,
	"avx512dq": &cpu.X86.HasAVX512DQ, "avx512vl": &cpu.X86.HasAVX512VL,
	"avx512_vnni": &cpu.X86.HasAVX512VNNI, "avx512_bf16": &cpu.X86.HasAVX512BF16,
	"amx_tile": &amx.Usable, "amx_int8": &cpu.X86.HasAMXInt8, "amx_bf16": &cpu.X86.HasAMXBF16,
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
