package stored

import (
	"regexp"
	"slices"
	"strings"

	"llmc/compiler/hf"
)

// scheme is how one group of quantization_config stores weights.
type scheme struct {
	format    string   // of the tensors
	targets   []string // names of modules, patterns after "re:", or classes
	patterns  []*regexp.Regexp
	bits      int64
	float     bool
	strategy  string // what shares a scale
	group     int64  // of strategy group
	symmetric bool
	actOrder  bool // inputs of a group are not beside each other
}

// strategies are what may share a scale, by the kind of weights.
var strategies = map[string][]string{
	"int":    {"tensor", "channel", "group"},
	"float":  {"tensor", "channel", "block"},
	"float4": {"tensor_group", "group"},
}

// layouts are the formats of tensors, by the kind of weights.
var layouts = map[string][]string{
	"int":    {"int-quantized", "naive-quantized", "pack-quantized"},
	"float":  {"float-quantized", "naive-quantized"},
	"float4": {"nvfp4-pack-quantized", "mxfp4-pack-quantized"},
}

// float4Groups are the strategy and the size of groups of the formats of e2m1.
var float4Groups = map[string]struct {
	strategy string
	size     int64
}{"nvfp4-pack-quantized": {"tensor_group", nvGroup}, "mxfp4-pack-quantized": {"group", mxBlock}}

// kind tells weights apart by what there is for them.
func (s *scheme) kind() string {
	switch {
	case s.float && s.bits == 4:
		return "float4"
	case s.float:
		return "float"
	}
	return "int"
}

// readSchemes reads config_groups.
func readSchemes(f *hf.Fields) []*scheme {
	format := f.TextOr("format", "")
	groups := f.Object("config_groups")
	if groups == nil {
		f.Fail("config_groups", "is missing")
		return nil
	}
	var all []*scheme
	for _, key := range groups.Keys() {
		group := groups.Object(key)
		if group == nil || group.Err() != nil {
			continue
		}
		s := &scheme{format: group.TextOr("format", format), targets: group.Texts("targets")}
		if weights := group.Object("weights"); weights != nil {
			s.readWeights(weights)
			if known := layouts[s.kind()]; !slices.Contains(known, s.format) {
				f.Fail("format", "%.40q is not read for weights of this type; supported are %s", s.format, strings.Join(known, ", "))
			}
			if want, is := float4Groups[s.format]; is && (s.strategy != want.strategy || s.group != want.size) {
				weights.Fail("group_size", "%d and strategy %.40q are not read for %s; supported are %d and %s", s.group, s.strategy, s.format, want.size, want.strategy)
			}
			all = append(all, s)
		}
		for _, target := range s.targets {
			pattern, ok := strings.CutPrefix(target, "re:")
			if !ok {
				pattern = regexp.QuoteMeta(target) + "$"
			}
			compiled, err := regexp.Compile("^(?:" + pattern + ")")
			if err != nil {
				group.Fail("targets", "%.80q: %v", target, err)
				continue
			}
			s.patterns = append(s.patterns, compiled)
		}
	}
	return all
}

func (s *scheme) readWeights(w *hf.Fields) {
	s.bits = w.Int("num_bits", 1, 64)
	switch kind := w.TextOr("type", "int"); kind {
	case "int", "float":
		s.float = kind == "float"
	default:
		w.Fail("type", "%.40q is not read; supported are int, float", kind)
	}
	if s.bits != 8 && s.bits != 4 {
		w.Fail("num_bits", "%d is not read; supported are 4 and 8", s.bits)
	}
	s.strategy = w.TextOr("strategy", "tensor")
	if known := strategies[s.kind()]; !slices.Contains(known, s.strategy) {
		w.Fail("strategy", "%.40q is not read; supported are %s", s.strategy, strings.Join(known, ", "))
	}
	s.symmetric = w.BoolOr("symmetric", true)
	if s.float && !s.symmetric {
		w.Fail("symmetric", "false is not read for floating point; supported is true")
	}
	if s.strategy == "group" || s.strategy == "tensor_group" {
		s.group = w.Int("group_size", 1, maxSide)
	}
	if sides := w.Floats("block_structure", 0, maxSide); s.strategy == "block" && !slices.Equal(sides, []float64{blockSide, blockSide}) {
		w.Fail("block_structure", "%v is not read; supported is [128, 128]", sides)
	}
	switch order := w.TextOr("actorder", ""); order { // earlier versions have true and false
	case "group":
		s.actOrder = true
	case "", "weight", "static":
	default:
		w.Fail("actorder", "%.40q is not read; supported are group, weight, static", order)
	}
}

// schemeOf returns the scheme of a module: that which names it, then that of a pattern, then that of its class.
func schemeOf(all []*scheme, module string) *scheme {
	for _, s := range all {
		if slices.Contains(s.targets, module) {
			return s
		}
	}
	for _, s := range all {
		if slices.ContainsFunc(s.patterns, func(p *regexp.Regexp) bool { return p.MatchString(module) }) {
			return s
		}
	}
	for _, s := range all {
		if slices.Contains(s.targets, "Linear") {
			return s
		}
	}
	return nil
}
