package hf

import (
	"math"
	"regexp"
)

// maxRank of an adapter; published ones have up to some hundreds.
const maxLoraRank = 8192

// maxPatterns of modules with a rank or alpha of their own.
const maxPatterns = 4096

// adapterConfig is what of adapter_config.json decides what is added.
type adapterConfig struct {
	fields       *Fields
	rankStable   bool // scale alpha/sqrt(r) instead of alpha/r
	transposed   bool // weights may be stored [in, out]
	ranks        []patternValue
	alphas       []patternValue
	defaultRank  int64
	defaultAlpha float64
}

// patternValue is a row of rank_pattern or alpha_pattern: the value for modules whose name ends as the pattern says.
type patternValue struct {
	pattern *regexp.Regexp
	value   float64
}

// otherKinds are keys that make an adapter something else than a product that is added to linear layers, and the values that do not.
var otherKinds = []struct{ key, what string }{
	{"use_dora", "DoRA, which scales weights too"},
	{"lora_bias", "biases beside the products"},
	{"use_qalora", "QALoRA, whose inputs are pooled"},
	{"use_bdlora", "block-diagonal LoRA"},
	{"modules_to_save", "whole layers beside the products"},
	{"layer_replication", "layers that are repeated"},
	{"alora_invocation_tokens", "an adapter that is active after certain tokens alone"},
	{"target_parameters", "parameters of experts"},
	{"trainable_token_indices", "embeddings of single tokens"},
	{"megatron_config", "Megatron's layers"},
	{"arrow_config", "a router between adapters"},
	{"kasa_config", "KaSA, which changes the base model"},
	{"monteclora_config", "random parts"},
	{"velora_config", "VeLoRA, which is another layer"},
}

// plainStarts are the values of init_lora_weights that leave the base model as it is.
var plainStarts = map[any]bool{nil: true, true: true, false: true, "gaussian": true, "eva": true, "orthogonal": true}

func parseAdapterConfig(obj *Object) (*adapterConfig, error) {
	f := obj.Fields()
	const merge = "merge it with PEFT (merge_and_unload) and build that"
	if kind := f.Text("peft_type"); kind != "LORA" {
		f.Fail("peft_type", "is %q; only LORA is merged", clip(kind))
	}
	for _, other := range otherKinds {
		if !isEmpty(f.Value(other.key)) {
			f.Fail(other.key, "asks for %s: %s", other.what, merge)
		}
	}
	if bias := f.TextOr("bias", "none"); bias != "none" {
		f.Fail("bias", "is %q, and biases are not merged: %s", clip(bias), merge)
	}
	switch start := f.Value("init_lora_weights").(type) {
	case nil, bool, string:
		if !plainStarts[start] {
			f.Fail("init_lora_weights", "is %q, which changes the base model: convert it to plain LoRA with PEFT", clip(start.(string)))
		}
	default:
		f.Fail("init_lora_weights", "must be true, false or a string, not %s", jsonKind(start))
	}
	c := &adapterConfig{fields: f, rankStable: f.BoolOr("use_rslora", false), transposed: f.BoolOr("fan_in_fan_out", false)}
	c.defaultRank = f.Int("r", 1, maxLoraRank)
	c.defaultAlpha = f.FloatOr("lora_alpha", 8, -1e6, 1e6)
	c.ranks = f.patterns("rank_pattern", 1, maxLoraRank)
	c.alphas = f.patterns("alpha_pattern", -1e6, 1e6)
	return c, f.Err()
}

// isEmpty tells whether a value asks for nothing.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case []any:
		return len(v) == 0
	case *Object:
		return len(v.Keys()) == 0
	}
	return false
}

// patterns reads an object of numbers whose keys are patterns of modules' names.
func (f *Fields) patterns(key string, lo, hi float64) []patternValue {
	inner := f.Object(key)
	if inner == nil {
		return nil
	}
	if n := len(inner.Keys()); n > maxPatterns {
		f.Fail(key, "has %d patterns, at most %d", n, maxPatterns)
		return nil
	}
	var rows []patternValue
	for _, text := range inner.Keys() {
		pattern, err := regexp.Compile(`^(?:.*\.)?(?:` + text + `)$`)
		if err != nil {
			inner.Fail(text, "is no pattern of modules' names")
			return nil
		}
		rows = append(rows, patternValue{pattern, inner.Float(text, lo, hi)})
	}
	return rows
}

// find returns the value of the first pattern that fits.
func find(rows []patternValue, module string, otherwise float64) float64 {
	for _, row := range rows {
		if row.pattern.MatchString(module) {
			return row.value
		}
	}
	return otherwise
}

func (c *adapterConfig) rank(module string) (int64, error) {
	r := find(c.ranks, module, float64(c.defaultRank))
	if r != math.Trunc(r) {
		return 0, fieldError(AdapterConfigFile, "rank_pattern", "gives %s rank %g, which is no whole number", clip(module), r)
	}
	return int64(r), nil
}

// scale is what the product is multiplied by.
func (c *adapterConfig) scale(module string, rank int64) (float32, error) {
	divisor := float64(rank)
	if c.rankStable {
		divisor = math.Sqrt(divisor)
	}
	return float32(find(c.alphas, module, c.defaultAlpha) / divisor), nil
}
