package engine

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Section kinds of format 1.0.
const (
	KindInfo          = "info"           // ModelInfo, msgpack
	KindProgram       = "program"        // Program, msgpack; named FUNCTION/TARGET
	KindPTX           = "ptx"            // PTX text of a target's kernels; named TARGET
	KindCubin         = "cubin"          // Cubin, msgpack: what an assembler made of a target's PTX; named TARGET
	KindCardsProgram  = "cards_program"  // Program of each of several GPUs, msgpack; named FUNCTION/TARGET/CARDS
	KindCardsPTX      = "cards_ptx"      // PTX text of its kernels; named TARGET/CARDS
	KindTokenizer     = "tokenizer"      // binary form of internal/tokenizer
	KindTokenizerFile = "tokenizer_file" // a file of the checkpoint, by its name
	KindTemplate      = "template"       // Jinja source of a chat template, by its name ("default")
	KindIR            = "ir"             // IR text, named "import" (before the passes), "final" (after, first target) and "final/TARGET" (others)
	KindRules         = "rules"          // []RuleCount, msgpack
	KindProvenance    = "provenance"     // Provenance, msgpack
	KindCard          = "card"           // model card, Markdown
	KindLicense       = "license"        // licence text of the model
	KindWeights       = "weights"        // what Header.Weights describes
	KindAccuracy      = "accuracy"       // accuracy report, one JSON object
)

// kindRow says how sections of a kind are treated.
type kindRow struct {
	kind     string
	many     bool // sections of the kind have a name each; otherwise there is one, without a name
	required bool
	loaded   bool  // read and checked by Open; others are checked when they are asked for
	max      int64 // bytes
}

var kinds = []kindRow{
	{kind: KindInfo, required: true, loaded: true, max: 1 << 20},
	{kind: KindProgram, many: true, loaded: true, max: 16 << 20},
	{kind: KindPTX, many: true, max: 64 << 20},
	{kind: KindCubin, many: true, max: 64 << 20},
	{kind: KindCardsProgram, many: true, loaded: true, max: 16 << 20},
	{kind: KindCardsPTX, many: true, max: 64 << 20},
	{kind: KindTokenizer, loaded: true, max: 256 << 20},
	{kind: KindTokenizerFile, many: true, max: 256 << 20},
	{kind: KindTemplate, many: true, loaded: true, max: 4 << 20},
	{kind: KindIR, many: true, max: 256 << 20},
	{kind: KindRules, max: 16 << 20},
	{kind: KindProvenance, max: 16 << 20},
	{kind: KindCard, max: 16 << 20},
	{kind: KindLicense, max: 16 << 20},
	{kind: KindWeights, required: true, max: maxFileBytes},
	{kind: KindAccuracy, max: 16 << 20},
}

func findKind(kind string) *kindRow {
	for i := range kinds {
		if kinds[i].kind == kind {
			return &kinds[i]
		}
	}
	return nil
}

// check tells whether a section of the kind may have this name and size.
func (k *kindRow) check(name string, size int64) error {
	switch {
	case k.many && name == "":
		return fmt.Errorf("%w: section %s has no name", ErrFormat, k.kind)
	case !k.many && name != "":
		return fmt.Errorf("%w: section %s has the name %q; this kind has none", ErrFormat, k.kind, name)
	case k.kind == KindProgram && !isProgramName(name):
		return fmt.Errorf("%w: section %s: %q is not FUNCTION/TARGET", ErrFormat, k.kind, name)
	case k.kind == KindTokenizerFile && (strings.ContainsAny(name, `/\`) || name == "." || name == ".."):
		return fmt.Errorf("%w: section %s: %q is not a plain file name", ErrFormat, k.kind, name)
	case k.kind == KindCardsProgram || k.kind == KindCardsPTX:
		if err := checkCardsName(k.kind, name); err != nil {
			return err
		}
	}
	if size > k.max {
		return fmt.Errorf("%w: section %s has %d bytes; at most %d are allowed", ErrFormat, sectionID(k.kind, name), size, k.max)
	}
	return nil
}

func isProgramName(name string) bool {
	function, target, ok := strings.Cut(name, "/")
	return ok && function != "" && target != ""
}

// sectionID is how messages call a section.
func sectionID(kind, name string) string {
	if name == "" {
		return kind
	}
	return kind + " " + name
}

// checkName refuses names that would break a one-line message, or a terminal. Empty names are the caller's business.
func checkName(name string) error {
	if len(name) > maxNameBytes {
		return fmt.Errorf("name of %d bytes; at most %d are allowed", len(name), maxNameBytes)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("name %q is not text of one line", name)
	}
	return nil
}
