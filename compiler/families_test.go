package compiler_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/models"
	"llmc/internal/golden"
)

// unsupported are the families that there are recorded outputs of and no way to build. Whoever adds one takes its line away.
var unsupported = map[string]string{}

// Every recorded decoder is of a family that the goldens hold to what transformers computes, or is refused in one line that names its type.
func TestEveryFamilyBuildsOrIsNamed(t *testing.T) {
	supported := map[string]bool{}
	for _, g := range checkpoints(t) {
		supported[g.dir] = true
	}
	seen := map[string]bool{}
	for _, dir := range goldenDirs(t) {
		family := modelType(t, dir)
		if family == "" || supported[dir] {
			continue
		}
		seen[family] = true
		_, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: filepath.Join(t.TempDir(), "engine.plan")})
		switch {
		case unsupported[family] == "":
			t.Errorf("%s is of family %s, which is neither supported nor known to be not", filepath.Base(dir), family)
		case err == nil:
			t.Errorf("%s builds: family %s is supported", filepath.Base(dir), family)
		case !strings.Contains(err.Error(), `model_type: "`+family+`" is not supported`) || strings.Contains(err.Error(), "\n"):
			t.Errorf("%s: %v", filepath.Base(dir), err)
		}
	}
	for family, why := range unsupported {
		if !seen[family] {
			t.Errorf("no checkpoint is of family %s (%s)", family, why)
		}
	}
}

// pageHead is what docs/models.md begins with.
const pageHead = `# Models

Generated from the registry (` + "`compiler/models`" + `) and what its tests go through by ` + "`UPDATE=1 go test -run TestModelsPage ./compiler`" + `; do not edit.

A family is a model_type of config.json. Each cell names the tests of package compiler, and the checkpoints that are subtests of them, that hold it: logits and greedy tokens that
transformers recorded (Goldens...), and every layer of a plan against the reference interpreter (Verify...). In a plain run families take turns with formats;
with LLMC_LONG=1 each has all of them. GPU programs run in the emulator there; what a GPU has run is in testdata/gpu.

`

// The page of models says what the registry has and what the tests above go through.
func TestModelsPage(t *testing.T) {
	byFamily, recorded := map[string][]string{}, map[string]bool{}
	for _, g := range checkpoints(t) {
		family := modelType(t, g.dir)
		byFamily[family] = append(byFamily[family], filepath.Base(g.dir))
		recorded[family] = recorded[family] || g.Difference != nil
	}
	var b strings.Builder
	b.WriteString(pageHead)
	fmt.Fprintf(&b, "| family | class | checkpoints | f32 on %s | bf16 on CPUs | codes on CPUs | %s |\n|---|---|---|---|---|---|---|\n",
		strings.Join(olderTargets, ", "), strings.Join(emulatedTargets, ", "))
	for _, family := range models.Decoders() {
		names := byFamily[family]
		if len(names) == 0 {
			t.Errorf("no checkpoint is of family %s", family)
		}
		bf16 := "Verify"
		if recorded[family] { // what transformers' own run in bf16 is off by
			bf16 = "GoldensBF16, Verify"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | GoldensF32, GoldensTargets, Verify | %s | GoldensCodes, Verify | VerifyEmulated |\n",
			family, models.Architecture(family), strings.Join(names, ", "), bf16)
	}
	writeEncoders(t, &b)
	codes := slices.Concat(codeFormats, verifyFormats)
	slices.Sort(codes)
	codes = slices.DeleteFunc(slices.Compact(codes), func(f string) bool { return f == "f32" || f == "bf16" })
	fmt.Fprintf(&b, "\nCodes on CPUs: %s. Formats on GPUs: %s. KV caches of f32, bf16, f16, int4, int8, int16 and fp8 (TestAttentionReferenceIsAttention of\nruntime/device/cpu/kernel, with windows, bounds, ALiBi and sinks; TestKVFormats).\n\n",
		strings.Join(codes, ", "), strings.Join(emulatedFormats, ", "))
	writeCodes(&b)
	writeTexts(&b)
	writeVision(t, &b)
	writeJoined(t, &b)
	writeRefused(&b)
	const path = "../docs/models.md"
	if os.Getenv("UPDATE") != "" {
		check(t, os.WriteFile(path, []byte(b.String()), 0o644))
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != b.String() {
		t.Errorf("%s is old; UPDATE=1 renews it (%v)", path, err)
	}
}

// writeVision writes the table of models that read images.
func writeVision(t *testing.T, b *strings.Builder) {
	t.Helper()
	b.WriteString("\nModels that read images:\n\n| family | class | checkpoints | f32, bf16, int8 on CPUs; f32 on older targets | every value against the interpreter: f32, bf16, int8, int4 | images | sm80, sm89, sm90 |\n|---|---|---|---|---|---|---|\n")
	for _, family := range models.Vision() {
		i := slices.IndexFunc(visionDirs, func(dir string) bool { return strings.HasPrefix(dir, family) })
		if i < 0 {
			t.Errorf("no checkpoint is of family %s", family)
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s | VisionGoldens | VerifyVision | VisionPixels | VisionEmulated |\n", family, models.Architecture(family), visionDirs[i])
	}
}

// writeEncoders writes the table of encoders.
func writeEncoders(t *testing.T, b *strings.Builder) {
	t.Helper()
	b.WriteString("\n| encoder | classes | checkpoints | f32 on CPUs | bf16, int8 on CPUs | int4 on CPUs | sm80, sm89, sm90 |\n|---|---|---|---|---|---|---|\n")
	encoders := map[string][]string{}
	tests := map[string]string{}
	for _, name := range recordedEncoders {
		family := modelTypeOf(t, golden.Shared(t, "checkpoints", name))
		encoders[family], tests[family] = append(encoders[family], name), "EncoderGoldens, EncoderTargets, VerifyEncoders"
	}
	for _, name := range ownEncoders {
		family := modelTypeOf(t, filepath.Join("../testdata/checkpoints", name))
		encoders[family], tests[family] = append(encoders[family], name), strings.TrimPrefix(tests[family]+", OwnEncoders", ", ")
	}
	for _, family := range slices.Sorted(maps.Keys(encoders)) {
		narrow, codes, gpu := "EncoderGoldens, VerifyEncoders", "VerifyEncoders", "EncodersEmulated, VerifyEncodersEmulated"
		if !strings.Contains(tests[family], "EncoderGoldens") { // the same ops as in families that go through these
			narrow, codes, gpu = "", "", "OwnEncodersEmulated"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n",
			family, strings.Join(models.Classes(family), ", "), strings.Join(encoders[family], ", "), strings.Join(slices.Compact(strings.Split(tests[family], ", ")), ", "), narrow, codes, gpu)
	}
	for _, family := range models.Encoders() {
		if len(encoders[family]) == 0 {
			t.Errorf("no checkpoint is of encoder %s", family)
		}
	}
	b.WriteString("\nDecoders make embeddings too, where a checkpoint has the files of sentence-transformers.\n")
}

// modelTypeOf returns the model_type of a recorded encoder.
func modelTypeOf(t *testing.T, dir string) string {
	t.Helper()
	var c struct {
		ModelType string `json:"model_type"`
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	check(t, err)
	check(t, json.Unmarshal(text, &c))
	return c.ModelType
}

// writeTexts says which encoder-decoders there are.
func writeTexts(b *strings.Builder) {
	b.WriteString("Encoder-decoders:\n\n| family | class | checkpoints | held by | sm80, sm89, sm90 |\n|---|---|---|---|---|\n")
	for _, family := range models.EncoderDecoders() {
		fmt.Fprintf(b, "| %s | %s | %s | EncoderDecoderGoldens (%s; f32 on %s), EncoderDecodersTogether, VerifyEncoderDecoders (%s) | EncoderDecodersEmulated, TextsDoNotDependOnTheSchedule |\n",
			family, models.Architecture(family), strings.Join(recordedTexts[family], ", "),
			strings.Join(slices.Sorted(maps.Keys(textErrors)), ", "), strings.Join(olderTargets, ", "), strings.Join(textFormats, ", "))
	}
}

// writeRefused says what is known by name alone.
func writeRefused(b *strings.Builder) {
	if len(unsupported) == 0 {
		return
	}
	b.WriteString("\nRefused by name, though there are checkpoints with recorded outputs (TestEveryFamilyBuildsOrIsNamed):\n\n")
	for _, family := range slices.Sorted(maps.Keys(unsupported)) {
		fmt.Fprintf(b, "- %s: %s\n", family, unsupported[family])
	}
}

// writeJoined writes the table of models that read images among tokens.
func writeJoined(t *testing.T, b *strings.Builder) {
	t.Helper()
	b.WriteString("\nModels that read images among tokens and generate text:\n\n| family | class | checkpoints | f32, bf16, int8 on CPUs; f32 on older targets | every value against the interpreter: f32, bf16, int8, int4 | served | sm80, sm89, sm90 |\n|---|---|---|---|---|---|---|\n")
	for _, family := range models.Joined() {
		if len(joinedDirs[family]) == 0 {
			t.Errorf("no checkpoint of %s", family)
		}
		fmt.Fprintf(b, "| %s | %s | %s | JoinedGoldens | VerifyJoined | ImagesDoNotDependOnTheSchedule, ImagesInThePrefixCache | JoinedEmulated, ImagesDoNotDependOnTheScheduleEmulated |\n", family, models.Architecture(family), strings.Join(joinedDirs[family], ", "))
	}
}
