package adapt

import (
	"strconv"
	"strings"
)

// Conversions is the file below a tree in which setup notes what conversions took: seconds, kilobytes at most, what, separated by tabs.
const Conversions = "logs/convert.tsv"

// converters are the peers' names in that file.
var converters = map[string]string{
	llamaCpp.Name: "llama.cpp", openVINO.Name: "openvino", onnxRuntime.Name: "onnxruntime-genai", cTranslate2.Name: "ctranslate2", vLLM.Name: "vllm",
}

// firstConversion is what llama.cpp's quantized files are made of: what that took belongs to them.
const firstConversion = "hf-to-bf16"

// Converted is what making a variant took.
type Converted struct {
	Seconds float64
	Bytes   int64 // of memory at most
}

// ReadConversions returns what making the variants of a peer took, by their names. Of several conversions to the same the last counts.
func (p *Peer) ReadConversions(text, model string) map[string]Converted {
	found := map[string]Converted{}
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 {
			continue
		}
		name, ok := strings.CutPrefix(fields[2], converters[p.Name]+" "+model+" ")
		seconds, err := strconv.ParseFloat(fields[0], 64)
		kilobytes, err2 := strconv.ParseInt(fields[1], 10, 64)
		if ok && converters[p.Name] != "" && err == nil && err2 == nil && seconds > 0 {
			found[name] = Converted{seconds, kilobytes << 10}
		}
	}
	first, two := found[firstConversion]
	delete(found, firstConversion)
	if !two {
		return found
	}
	for name, c := range found {
		found[name] = Converted{c.Seconds + first.Seconds, max(c.Bytes, first.Bytes)}
	}
	for _, v := range p.Variants {
		if _, has := found[v.Name]; !has && v.Format == "bf16" {
			found[v.Name] = first
		}
	}
	return found
}
