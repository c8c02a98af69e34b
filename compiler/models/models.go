package models

import (
	"fmt"
	"slices"
	"strings"

	"llmc/compiler/hf"
	"llmc/compiler/stored"
	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/ir"
)

// families is the registry. A new family is one file and one row here.
var families = []*family{
	llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3, phi, phi3, falcon, bloom, gpt2, gptj, gptneox, opt, mpt, stablelm, starcoder2, olmo2,
	cohere, cohere2, granite, smollm3, olmo3, mixtral, gptoss, llama4, qwen2moe, qwen3moe,
	deepseekv2, deepseekv3,
	mamba,

	bert, roberta, xlmRoberta, modernBERT,

	t5, bart,

	vit, clip, siglip,

	llava,
}

// family is one model_type of config.json.
type family struct {
	modelType    string
	architecture string  // the class of transformers with a language model head, or of an encoder without a head
	classes      []class // what else its models are saved as
	sizes        sizes   // keys of config.json
	defaults     defaults
	rotary       *rotary                        // nil: no rotary embedding
	names        names                          // of tensors
	shape        decoder                        // what all models of the family have
	keys         []string                       // of config.json that describe reads
	ignored      []string                       // keys that change nothing in this family, besides ignoredKeys
	unused       []string                       // patterns of tensors that follow from config.json, besides unusedTensors
	describe     func(f *hf.Fields, d *decoder) // what config.json says besides sizes; nil: nothing
	towers       *towers                        // of models that read images, which have no block of their own; nil of others
	joined       *joined                        // of models that read images among tokens; nil of others
}

// Options choose what the checkpoint leaves open.
type Options struct {
	// Script is the family as a file; nil: the registry has it.
	Script *Script
	// KV is the element type of cached keys and values; Invalid means f32.
	KV dtype.Type
	// IgnoreKeys are keys of config.json that are known not to matter although the family does not know them.
	IgnoreKeys []string
	// IgnoreTensors are patterns (path.Match) of tensors that need not be used.
	IgnoreTensors []string
	// Dequantize declares weights that the checkpoint has in codes as the numbers that they stand for, to be rounded as others are.
	Dequantize bool
	// Takes tells whether a format of codes is multiplied as it is. Matrices of others are declared in digits, if they have any. nil: all are.
	Takes func(*quant.Format) bool
}

// Model is an imported checkpoint.
type Model struct {
	Module *ir.Module
	Info   Info
}

// Info is what serving and reports have to know besides the module.
type Info struct {
	Family                 string
	Vocab, Hidden, Inner   int
	Layers, Heads, KVHeads int
	HeadDim                int
	Parameters             int64      // tied matrices count once
	MaxContext             int64      // positions that the model was made for
	RopeSalt               string     // what besides tokens decides a cached key: "", "longrope:N", "dynamic:N"
	DType                  dtype.Type // of most parameters in the checkpoint
	Encodes                bool       // prompts go through function "encode"

	Image                 *Image   // of models that read images
	Insert                *Insert  // of those that read them among tokens
	Text                  *Text    // of those that compare them with texts
	LogitScale, LogitBias *float64 // by which they do; nil: by the cosine alone
}

// Supported returns the model types that Import takes, sorted.
func Supported() []string { return having(func(*family) bool { return true }) }

// Decoders returns those of them that generate text from tokens alone.
func Decoders() []string {
	return having(func(f *family) bool { return !f.encodes() && !f.encodesFirst() && !f.readsImages() && !f.joins() })
}

// Joined returns those that read images among tokens.
func Joined() []string { return having((*family).joins) }

// Vision returns those that read images.
func Vision() []string { return having((*family).readsImages) }

// EncoderDecoders returns those that say something of a text that they have encoded.
func EncoderDecoders() []string { return having((*family).encodesFirst) }

// Encoders returns those that make vectors and scores of texts. Decoders do so too, where a checkpoint has the files of sentence-transformers.
func Encoders() []string { return having((*family).encodes) }

func (f *family) encodes() bool      { return f.shape.whole }
func (f *family) encodesFirst() bool { return f.names.cross.q != "" }
func (f *family) readsImages() bool  { return f.towers != nil }
func (f *family) joins() bool        { return f.joined != nil }

// having returns the model types of the families that have something, sorted.
func having(has func(f *family) bool) []string {
	var types []string
	for _, f := range families {
		if has(f) {
			types = append(types, f.modelType)
		}
	}
	slices.Sort(types)
	return types
}

// Architecture returns the class of transformers whose checkpoints are of a supported model type.
func Architecture(modelType string) string {
	i := slices.IndexFunc(families, func(f *family) bool { return f.modelType == modelType })
	return families[i].architecture
}

// Import builds the module of a checkpoint.
func Import(c *hf.Checkpoint, opts Options) (*Model, error) {
	if opts.Script != nil {
		return importScript(c, opts.Script, opts)
	}
	fam, err := find(c.Config, c.Sentence != nil)
	if err != nil {
		return nil, err
	}
	if err := stored.Attach(c); err != nil {
		return nil, err
	}
	build := importBlocks
	switch {
	case fam.towers != nil:
		build = importTowers
	case fam.joined != nil:
		build = importJoined
	}
	in, info, err := build(c, fam, opts)
	if err != nil {
		return nil, err
	}
	module, err := in.Module()
	if err != nil {
		return nil, err
	}
	if err := in.checkUnused(fam, slices.Concat(in.unused, opts.IgnoreTensors)); err != nil {
		return nil, err
	}
	info.DType, info.Parameters = in.commonDType(), parameters(module)
	return &Model{module, *info}, nil
}

// importBlocks builds the function of a model of one kind of blocks: a decoder, or an encoder of texts.
func importBlocks(c *hf.Checkpoint, fam *family, opts Options) (*importer, *Info, error) {
	f := c.Config.Fields()
	checkKeys(f, fam, fam.keysRead(), opts.IgnoreKeys)
	d := readDecoder(f, fam)
	if f.Err() == nil && fam.describe != nil {
		fam.describe(f, d)
	}
	if err := f.Err(); err != nil {
		return nil, nil, err
	}
	if d.sent = c.Sentence; d.sent != nil {
		d.whole = true
	}
	if d.whole && d.give == nil {
		d.give = giveOf(c.Config, fam)
	}
	in := newImporter(c, fam)
	in.readCodes(&opts)
	if d.whole {
		opts.IgnoreTensors = append(slices.Clone(opts.IgnoreTensors), fam.names.head+".*") // which makes no vectors
		in.buildEmbed(d, opts)
	} else {
		in.buildStep(d, opts)
	}
	in.unused = d.unused
	return in, infoOf(d, fam), nil
}

// find returns the family of a config.json, which must be that of a causal language model or of an encoder. sentences says that embeddings are to be made.
func find(c *hf.Config, sentences bool) (*family, error) {
	if c.ModelType == "" {
		return nil, c.Errorf("model_type", "is missing; supported are %s", strings.Join(Supported(), ", "))
	}
	i := slices.IndexFunc(families, func(f *family) bool { return f.modelType == c.ModelType })
	if i < 0 {
		hint := ""
		if near := ir.Nearest(c.ModelType, Supported()); near != "" {
			hint = fmt.Sprintf(" (did you mean %q?)", near)
		}
		return nil, c.Errorf("model_type", "%q is not supported%s; supported are %s", c.ModelType, hint, strings.Join(Supported(), ", "))
	}
	fam := families[i]
	if len(c.Architectures) > 0 && fam.class(c) == nil && !(sentences && slices.Contains(c.Architectures, fam.bareClass())) {
		return nil, c.Errorf("architectures", "%q is not supported; of model_type %s it is %s", c.Architectures, fam.modelType, fam.classNames())
	}
	return fam, nil
}

func infoOf(d *decoder, fam *family) *Info {
	info := &Info{
		Family: fam.modelType, Vocab: d.vocab, Hidden: d.hidden, Inner: d.inner, Layers: d.layers, Heads: d.heads, KVHeads: d.kvHeads,
		HeadDim: d.dim, MaxContext: d.maxContext, RopeSalt: d.rope.salt(), Encodes: d.encoder != nil,
	}
	if d.space.states > 0 { // there are no heads
		info.Heads, info.KVHeads, info.HeadDim = 0, 0, 0
	}
	if d.latent.rank > 0 { // what a cache holds
		info.KVHeads, info.HeadDim = 1, d.latent.rank+d.latent.rope
	}
	return info
}

// parameters counts the numbers that the module takes from the checkpoint.
func parameters(m *ir.Module) int64 {
	sum := int64(0)
	for _, w := range m.Weights {
		if w.Recipe.Kind != ir.FromValues {
			n, _ := w.Type.Elements()
			sum += n
		}
	}
	return sum
}
