package engine

import "fmt"

// SampleBins is how many classes of likelihood tokens are counted in: class i has those of two steps of MassSteps from 2*i on, the last
// those without mass.
const SampleBins = 2048

// passAttr tells whose logits a launch of sampling looks at: the raw ones, or those that a token is drawn from.
var passAttr = textAttr("pass", "raw", "drawn")

// sampleKernels sample the rows of a step on devices that execute the plan's PTX. Each leaves out the rows that do not want it; a device leaves
// out launches that no row wants. Together they do what Sampling says, to the bit; see mass.go.
var sampleKernels = []Kernel{
	{
		Name: "cuda.sample_scan",
		Doc:  "the greatest logit of each row and its token; clears the histograms",
		Roles: []Role{arg("logits", "f32", "R v"), input("sampling", "R"), input("masks", ""), result("found", "i64", "R cells"),
			optional(result("raw", "i64", "R hist")), optional(result("drawn", "i64", "R hist")), seen},
		Attrs: []AttrRow{passAttr},
		Check: checkSampling,
	},
	{
		Name: "cuda.sample_mass",
		Doc:  "masses of tokens: their sums, those of parts of the vocabulary, and by class, with the class of each token",
		Roles: []Role{arg("logits", "f32", "R v"), input("sampling", "R"), input("masks", ""), result("found", "i64", "R cells"),
			result("hist", "i64", "R hist"), result("parts", "i64", "R parts"), result("bins", "i16", "R v"), seen},
		Attrs: []AttrRow{passAttr},
		Check: checkSampling,
	},
	{
		Name: "cuda.sample_rank",
		Doc:  "the most likely tokens under the raw logits",
		Roles: []Role{arg("logits", "f32", "R v"), input("sampling", "R"), arg("hist", "i64", "R hist"), arg("bins", "i16", "R v"),
			result("found", "i64", "R cells"), result("alternatives", "i64", "R most")},
		Check: checkSampling,
	},
	{
		Name: "cuda.sample_draw",
		Doc:  "draws a token from the masses by (seed, position)",
		Roles: []Role{arg("logits", "f32", "R v"), input("sampling", "R"), input("masks", ""), arg("hist", "i64", "R hist"),
			arg("parts", "i64", "R parts"), arg("bins", "i16", "R v"), result("found", "i64", "R cells"), seen},
		Check: checkSampling,
	},
	{
		Name: "cuda.sample_edit",
		Doc:  "applies bias and bans to the logits, and keeps what was there in undo",
		Roles: []Role{arg("logits", "f32", "R v"), input("sampling", "R"), input("edits", ""), result("undo", "i32", "one entries"),
			arg("found", "i64", "R cells")},
		Check: checkSampling,
	},
	{
		Name: "cuda.sample_finish",
		Doc:  "takes the edits back and looks the tokens' logits up",
		Roles: []Role{arg("logits", "f32", "R v"), input("sampling", "R"), input("edits", ""), arg("undo", "i32", "one entries"),
			result("found", "i64", "R cells")},
		Check: checkSampling,
	},
	{
		Name:  "cuda.accept",
		Doc:   "how many drafts are what their rows sampled, and the token behind them",
		Roles: []Role{input("sampling", "R"), input("drafts", "R"), result("found", "i64", "R cells")},
		Check: checkSampling,
	},
}

// sampleFlags says which rows want a kernel of sampling, by its pass where it has some; the other launches have every step.
var sampleFlags = map[string]uint32{
	"cuda.sample_mass raw":   SampleLogprobs,
	"cuda.sample_rank":       SampleAlternatives,
	"cuda.sample_edit":       SampleEdited,
	"cuda.sample_scan drawn": SampleChanged,
	"cuda.sample_mass drawn": SampleDraws,
	"cuda.sample_draw":       SampleDraws,
	"cuda.sample_finish":     SampleEdited | SampleLogprobs,
	"cuda.accept":            SampleDrafts,
}

// SampleFlags says which rows want a launch, those with one of the flags of SampleRow; 0: every step has it.
func SampleFlags(l *Launch) uint32 {
	if pass := l.Text("pass", ""); pass != "" {
		return sampleFlags[l.Kernel+" "+pass]
	}
	return sampleFlags[l.Kernel]
}

// seen is for penalties: a row for each sequence that has some, a count for each token.
var seen = optional(input("seen", ""))

// checkSampling wants the sizes that devices count on.
func checkSampling(b *Bound) error {
	for _, want := range []struct {
		name string
		size int64
	}{{"v", b.Vocab()}, {"cells", FoundCells}, {"hist", 2 * SampleBins}, {"most", MaxAlternatives}} {
		if have, known := b.sizes[want.name]; known && have != want.size {
			return fmt.Errorf("%s is %d, not %d", want.name, have, want.size)
		}
	}
	return nil
}
