package hf

import (
	"io"
	"path"
	"slices"
	"strings"
)

// Need says what a repository is read for.
type Need int

// The needs.
const (
	NeedModel   Need = iota // everything that Open reads
	NeedConfig              // what OpenRandom reads: no weights
	NeedAdapter             // what OpenAdapter reads
)

// settingsFiles are small files beside the parts of a checkpoint: what the model is, how its weights are quantized, how its outputs are made.
var settingsFiles = []string{
	ConfigFile, GenerationFile, "quantize_config.json", "quant_config.json", "quantization_config.json", "hf_quant_config.json",
	"modules.json", "config_sentence_transformers.json", "sentence_bert_config.json",
	"[0-9]_*/config.json",
}

// Selection is the files that are needed of a repository.
type Selection struct {
	Files []string // sorted
	Index string   // the one of Files that names further ones, "" when there is none
}

// Select chooses among the names of all files of a repository those that are needed. Where the weights lie in shards, these are what
// Shards reads from the index.
func Select(names []string, need Need) (*Selection, error) {
	s := &Selection{}
	if need == NeedAdapter {
		if !slices.Contains(names, AdapterWeightsFile) {
			return nil, refuseAdapter(names)
		}
		if !slices.Contains(names, AdapterConfigFile) {
			return nil, fileError(AdapterConfigFile, "is missing; the repository holds no adapter")
		}
		s.Files = []string{AdapterConfigFile, AdapterWeightsFile}
		return s, nil
	}
	for _, name := range names {
		if isSmall(name) {
			s.Files = append(s.Files, name)
		}
	}
	if need == NeedModel {
		switch {
		case slices.Contains(names, singleFile):
			s.Files = append(s.Files, singleFile)
		case slices.Contains(names, indexFile):
			s.Files, s.Index = append(s.Files, indexFile), indexFile
		default:
			return nil, refuseNames(names)
		}
	}
	if !slices.Contains(names, ConfigFile) {
		return nil, refuseConfig("the repository", names)
	}
	slices.Sort(s.Files)
	return s, nil
}

// Shards returns the names of the files that the index whose text is given says the weights are in.
func Shards(text io.Reader) ([]string, error) {
	ix, err := parseIndex(text)
	if err != nil {
		return nil, err
	}
	return ix.shards, nil
}

// MaxBytes is how large a file of that name may be to be read, 0 when it is as large as the weights are.
func MaxBytes(name string) int64 {
	switch {
	case name == indexFile:
		return maxIndexBytes
	case path.Dir(name) == templateDir:
		return parts[ChatTemplate].maxBytes
	}
	for _, p := range parts {
		if matchesAny(p.patterns, strings.ToLower(name)) {
			return p.maxBytes
		}
	}
	if name == AdapterConfigFile || matchesAny(settingsFiles, name) {
		return maxConfigBytes
	}
	return 0
}

// isSmall tells whether a file is one of those beside the weights that are needed.
func isSmall(name string) bool {
	if path.Dir(name) == templateDir && strings.HasSuffix(name, ".jinja") || matchesAny(settingsFiles, name) {
		return true
	}
	for _, p := range parts {
		if matchesAny(p.patterns, strings.ToLower(name)) {
			return true
		}
	}
	return false
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := path.Match(pattern, name)
		return ok
	})
}
