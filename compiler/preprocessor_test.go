package compiler

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"llmc/compiler/hf"
	"llmc/engine"
)

// prepared reads a preprocessor_config.json for a model of 224 pixels.
func prepared(t *testing.T, family, text string) (*engine.ImageSettings, error) {
	t.Helper()
	object, err := hf.ParseObject("preprocessor_config.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	f := object.Fields()
	s := &engine.ImageSettings{Width: 224, Height: 224, Patch: 16}
	processors[family].read(f, s)
	if err := f.Err(); err != nil {
		return nil, err
	}
	return s, s.Check()
}

func TestPreprocessor(t *testing.T) {
	const factor = 1. / 255
	square := engine.ImageSettings{Width: 224, Height: 224, Patch: 16, ResizeWidth: 224, ResizeHeight: 224, Rescale: factor, Mean: halves, Std: halves}
	vit, siglip := square, square
	vit.Filter, siglip.Filter = "bilinear", "bicubic"
	clip := engine.ImageSettings{
		Width: 224, Height: 224, Patch: 16, ShortestEdge: 224, Filter: "bicubic", CropWidth: 224, CropHeight: 224, Rescale: factor, Mean: clipMean, Std: clipStd,
	}
	lanczos, larger := vit, clip
	lanczos.Filter, lanczos.Mean, lanczos.Std, lanczos.Rescale = "lanczos", nil, nil, 0.5
	larger.ShortestEdge = 256
	for _, c := range []struct {
		name, family, text string
		want               engine.ImageSettings
	}{
		{"no file", "vit", `{}`, vit},
		{"as ViT's first files", "vit", `{"do_normalize": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": 224}`, vit},
		{"as CLIP's first files", "clip", `{"crop_size": 224, "do_center_crop": true, "feature_extractor_type": "CLIPFeatureExtractor", "resample": 3, "size": 224}`, clip},
		{"as newer files", "clip", `{"crop_size": {"height": 224, "width": 224}, "do_pad": null, "do_convert_rgb": true, "image_processor_type": "CLIPImageProcessorFast", "size": {"shortest_edge": 256}}`, larger},
		{"SigLIP", "siglip", `{"size": {"height": 224, "width": 224}, "processor_class": "SiglipProcessor"}`, siglip},
		{"other numbers", "vit", `{"do_normalize": false, "rescale_factor": 0.5, "resample": 1}`, lanczos},
		{"nothing done", "vit", `{"do_resize": false, "do_rescale": false, "do_normalize": false}`, engine.ImageSettings{Width: 224, Height: 224, Patch: 16}},
	} {
		got, err := prepared(t, c.family, c.text)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if d := cmp.Diff(c.want, *got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

func TestPreprocessorRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"image_processor_type": "BitImageProcessor"}`, "image_processor_type"},
		{`{"do_flip_channel_order": true}`, "do_flip_channel_order"},
		{`{"size": {"shortest_edge": 224, "longest_edge": 448}}`, "longest_edge"},
		{`{"size": {"height": 224}}`, "size.width"},
		{`{"size": 0}`, "size"},
		{`{"resample": 9}`, "resample"},
		{`{"image_mean": [0.5]}`, "image_mean"},
		{`{"image_std": [0.5, 0, 0.5]}`, "deviation"},
		{`{"size": 384}`, "384 by 384"},
		{`{"do_center_crop": true, "crop_size": 64}`, "64 by 64"},
	} {
		_, err := prepared(t, "vit", c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}
