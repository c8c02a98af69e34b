package oci

import (
	"strconv"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"llmc/engine"
)

// Types of ModelPack (github.com/modelpack/model-spec), which these manifests follow.
const (
	ArtifactType = "application/vnd.cncf.model.manifest.v1+json"

	configType       = "application/vnd.cncf.model.config.v1+json"
	weightType       = "application/vnd.cncf.model.weight.v1.raw"
	weightConfigType = "application/vnd.cncf.model.weight.config.v1.raw"
	docType          = "application/vnd.cncf.model.doc.v1.raw"
	codeType         = "application/vnd.cncf.model.code.v1.raw"

	filePathKey = "org.cncf.model.filepath"
)

// Annotations of manifests, and of their descriptors in an index.
const (
	planDigestKey = "io.llmc.plan.digest"  // what `llmc inspect` calls the plan's digest
	planSizeKey   = "io.llmc.plan.size"    // of the file, bytes
	targetsKey    = "io.llmc.plan.targets" // those that there are programs for, separated by commas
	targetKey     = "io.llmc.target"       // the one that the manifest is for
)

// layerTypes say what sections are for other tools.
var layerTypes = map[string]string{
	engine.KindWeights: weightType, engine.KindProgram: codeType, engine.KindPTX: codeType, engine.KindCubin: codeType, engine.KindCardsProgram: codeType, engine.KindCardsPTX: codeType,
	engine.KindCard: docType, engine.KindLicense: docType, engine.KindAccuracy: docType,
}

// modelConfig is the config of a manifest.
type modelConfig struct {
	Descriptor struct {
		Family   string `json:"family,omitempty"`
		Name     string `json:"name,omitempty"`
		Revision string `json:"revision,omitempty"`
	} `json:"descriptor"`
	ModelFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diffIds"`
	} `json:"modelfs"`
	Config struct {
		Architecture string `json:"architecture,omitempty"`
		Format       string `json:"format,omitempty"`
		ParamSize    string `json:"paramSize,omitempty"`
		Precision    string `json:"precision,omitempty"`
		Quantization string `json:"quantization,omitempty"`
	} `json:"config"`
}

// describeModel fills in what a plan says of its model.
func describeModel(plan *engine.Plan, layers []ocispec.Descriptor) *modelConfig {
	info := plan.Info()
	var m modelConfig
	m.Descriptor.Family, m.Descriptor.Name = info.Family, info.Name
	if p, err := plan.Provenance(); err == nil {
		m.Descriptor.Revision = p.Revision
	}
	m.ModelFS.Type = "layers"
	for _, l := range layers {
		m.ModelFS.DiffIDs = append(m.ModelFS.DiffIDs, l.Digest.String())
	}
	m.Config.Architecture, m.Config.Format = "transformer", "llmc-plan"
	m.Config.ParamSize, m.Config.Precision = strconv.FormatFloat(float64(info.Parameters)/1e9, 'g', 3, 64)+"b", info.Quant
	if info.BitsPerW > 0 && info.BitsPerW < 16 {
		m.Config.Quantization = info.Quant
	}
	return &m
}

// platformOf is what registries and other tools are told of a target. Feature names of GPUs are those of `llmc targets`.
func platformOf(t engine.Target) *ocispec.Platform {
	p := &ocispec.Platform{Architecture: "amd64", OS: "linux"}
	switch {
	case t.Device != "cpu":
		p.OSFeatures = []string{t.Name}
	case len(t.Name) >= len("x86-64-v3"):
		p.Variant = t.Name[len("x86-64-"):len("x86-64-v3")]
		p.OSFeatures = t.Features
	}
	return p
}
