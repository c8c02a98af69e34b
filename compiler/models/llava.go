package models

import (
	"strconv"

	"llmc/compiler/hf"
	"llmc/ir"
)

// llava (Liu et al. 2023) shows a decoder the rows of a layer near the end of CLIP's or SigLIP's encoder of images, by way of an MLP. A token of the prompt
// stands for each row; in front of CLIP's there is the encoder's own, which "default" leaves out.
var llava = &family{
	modelType:    "llava",
	architecture: "LlavaForConditionalGeneration",
	keys: []string{textKey, imageKey, "image_token_index", "image_token_id", "vision_feature_layer", "vision_feature_select_strategy",
		"projector_hidden_act", "multimodal_projector_bias"},
	ignored: []string{"image_seq_length", "vocab_size", "pad_token_id"}, // which follow from the parts
	unused:  []string{"*.embeddings.position_ids"},
	joined: &joined{
		texts: []*part{
			{family: llama, defaults: defaults{vocab: 32000, hidden: 4096, width: 11008, layers: 32, heads: 32, maxPositions: 2048}},
			{family: qwen2, defaults: defaults{vocab: 151936, hidden: 4096, width: 22016, layers: 32, heads: 32, kvHeads: 32, maxPositions: 32768}},
			{family: mistral, defaults: defaults{vocab: 32000, hidden: 4096, width: 14336, layers: 32, heads: 32, kvHeads: 8, maxPositions: 4096 * 32}},
		},
		images: []*part{
			{family: shownBy(clipVision, "clip_vision_model"), defaults: clipVision.defaults, prepared: "clip"},
			{family: shownBy(siglipVision, "siglip_vision_model"), defaults: siglipVision.defaults, prepared: "siglip"},
		},
		parts: []placed{
			{"model.", "embed_tokens.weight", []string{"language_model.model.", "model.language_model."}},
			{"lm_head", ".weight", []string{"language_model.lm_head", "lm_head"}},
			{"vision_model.", "embeddings.patch_embedding.weight",
				[]string{"vision_tower.vision_model.", "vision_tower.", "model.vision_tower.vision_model.", "model.vision_tower."}},
			{"multi_modal_projector.", "linear_1.weight", []string{"multi_modal_projector.", "model.multi_modal_projector."}},
		},
		read: readLlava, project: (*importer).llavaProjector,
	},
}

// shownBy is an encoder of images whose last norm, and what it has besides its layers, is not read.
func shownBy(of *family, modelType string) *family {
	fam := *of
	fam.modelType = modelType
	fam.names.norm, fam.names.head = "", ""
	fam.ignored = append([]string{"vocab_size", "vision_use_head", "projection_dim"}, of.ignored...)
	fam.describe = func(f *hf.Fields, d *decoder) {
		act := "quick_gelu"
		if of == siglipVision {
			act = "gelu_pytorch_tanh"
		}
		readAct(f, d, "hidden_act", act)
		d.bothWay = true
	}
	return &fam
}

// readLlava reads which rows are shown: those behind a layer, counted from the embeddings on, which are 0, or from the end on. Behind SigLIP's last layer
// versions of transformers take different ones.
func readLlava(f *hf.Fields, image *decoder, im *Image, in *Insert) {
	const key = "vision_feature_layer"
	all := image.layers
	if list, ok := f.Value(key).([]any); ok {
		f.Fail(key, "%d layers are not supported; it must be one", len(list))
		return
	}
	behind := int(f.IntOr(key, -2, int64(-all), int64(all)))
	if behind < 0 {
		behind += all + 1
	}
	if behind == 0 || behind == all && !im.Class {
		f.Fail(key, "rows behind layer %d of %d are not supported", behind, all)
		return
	}
	image.layers = behind
	image.unused = []string{"*vision_tower.*.post_layernorm.*", "*vision_tower.post_layernorm.*", "*vision_tower.*head.*"}
	for i := behind; i < all; i++ {
		image.unused = append(image.unused, "*vision_tower.*encoder.layers."+strconv.Itoa(i)+".*")
	}
	switch strategy := f.TextOr("vision_feature_select_strategy", "default"); strategy {
	case "default":
		in.Skip = 1
	case "full":
	default:
		f.Fail("vision_feature_select_strategy", "%q is not supported; it must be default or full", strategy)
	}
	if in.Skip >= im.rows() {
		f.Fail("vision_feature_select_strategy", "leaves none of %d rows of an image", im.rows())
	}
}

// llavaProjector is an MLP of two matrices.
func (in *importer) llavaProjector(f *hf.Fields, d *decoder, x *ir.Value, width int) *ir.Value {
	act := decoder{}
	readAct(f, &act, "projector_hidden_act", "gelu")
	biased := f.BoolOr("multimodal_projector_bias", true)
	in.Fail(f.Err())
	linear := func(x *ir.Value, name string, outputs, inputs int) *ir.Value {
		name = "multi_modal_projector." + name
		var bias *ir.Value
		if biased {
			bias = in.bias(name+".bias", "col", outputs)
		}
		return in.Linear(x, in.matrix(name+".weight", "col", outputs, inputs), bias)
	}
	return linear(in.Activation(act.act, linear(x, "linear_1", width, d.hidden)), "linear_2", width, width)
}
