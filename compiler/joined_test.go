package compiler_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/internal/golden"
	"llmc/runtime"
	"llmc/runtime/device/cpu"
)

// joinedDirs are the recorded models that read images among tokens: each row of the registry has one at least.
var joinedDirs = map[string][]string{"llava": {"llava-clip", "llava-siglip"}}

// told is what transformers recorded of one: prompts, in which a token stands for each row of an image, and what the model goes on with.
type told struct {
	Cases []struct {
		Key      string
		Files    []string
		IDs      []int32
		Generate struct {
			IDs  []int32
			Gaps []float64
		}
	}
	goldenFile
}

func openTold(t *testing.T, name string) *told {
	t.Helper()
	g := &told{}
	g.dir = filepath.Join(golden.Root(t), "testdata", "checkpoints", name)
	g.tensors = openRecorded(t, g.dir, g)
	return g
}

// open builds a plan and loads it.
func (g *told) open(t *testing.T, options compiler.Options, settings engine.Settings) *runtime.Loaded {
	t.Helper()
	return g.openOn(t, cpu.Device{}, options, settings)
}

// openOn does so on a device.
func (g *told) openOn(t *testing.T, device engine.Device, options compiler.Options, settings engine.Settings) *runtime.Loaded {
	t.Helper()
	options.Model, options.Out, options.Check = g.dir, filepath.Join(t.TempDir(), "engine.plan"), true
	_, err := compiler.Build(t.Context(), options)
	check(t, err)
	plan, err := engine.Open(options.Out)
	check(t, err)
	model, err := device.Load(plan, settings)
	check(t, err)
	t.Cleanup(func() { model.Close(); plan.Close() })
	return &runtime.Loaded{Plan: plan, Info: plan.Info(), Model: model}
}

func (g *told) pictures(t *testing.T, info *engine.ModelInfo, files []string) []*runtime.Picture {
	t.Helper()
	var list []*runtime.Picture
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(g.dir, name))
		check(t, err)
		p, err := runtime.ReadPicture(data, info)
		check(t, err)
		list = append(list, p)
	}
	return list
}

// starts is where images begin in an expanded prompt.
func starts(info *engine.ModelInfo, ids []int32, images int) (at []int) {
	from := 0
	for range images {
		from += slices.Index(ids[from:], info.Insert.Token)
		at = append(at, from)
		from += info.ImageTokens()
	}
	return at
}

// Logits of prompts with images, with two and with none are those of transformers.
func TestJoinedGoldens(t *testing.T) {
	for _, family := range models.Joined() {
		if len(joinedDirs[family]) == 0 {
			t.Errorf("nothing is recorded of %s", family)
		}
		for _, name := range joinedDirs[family] {
			for _, run := range visionRuns {
				t.Run(name+"/"+run.format+run.target, func(t *testing.T) {
					skipLacking(t, run.target)
					g := openTold(t, name)
					options := compiler.Options{Quant: run.format}
					if run.target != "" {
						options.Archs = []string{run.target}
					}
					g.hold(t, g.open(t, options, engine.Settings{MaxSequences: 1, MaxRows: 64, Threads: 2}), run.most)
				})
			}
		}
	}
}

// hold compares the logits of the recorded prompts.
func (g *told) hold(t *testing.T, loaded *runtime.Loaded, most float64) {
	t.Helper()
	if most > 1e-3 { // errors of both encoders add up
		most *= 2
	}
	for _, c := range g.Cases {
		pictures := g.pictures(t, &loaded.Info, c.Files)
		types, soft, err := runtime.Rows(loaded.Model, &loaded.Info, c.IDs, starts(&loaded.Info, c.IDs, len(pictures)), pictures)
		check(t, err)
		if len(pictures) > 1 {
			g.holdFeatures(t, c.Key, types, soft, most)
		}
		want, tail := g.tensor(t, c.Key+".logits_all"), len(c.IDs)-8
		var got []float32
		err = engine.ForwardRows(loaded.Model, loaded.Info.Vocab, c.IDs, types, soft, func(p int) bool { return p >= tail }, func(_ int, row []float32) error {
			got = append(got, row...)
			return nil
		})
		check(t, err)
		if off, _ := relative(got, want); !(off <= most) {
			t.Errorf("%s: logits are off by %.2g of their range", c.Key, off)
		}
	}
}

// holdFeatures compares the rows that stand in place of tokens.
func (g *told) holdFeatures(t *testing.T, key string, types []int32, soft []float32, most float64) {
	t.Helper()
	width := len(soft) / len(types)
	var got []float32
	for i, kind := range types {
		if kind == 1 {
			got = append(got, soft[i*width:(i+1)*width]...)
		}
	}
	if off, _ := relative(got, g.tensor(t, key+".features")); !(off <= most) {
		t.Errorf("%s: rows of images are off by %.2g of their range", key, off)
	}
}

// Every value of both functions is what the reference interpreter makes of it, in every kind of format.
func TestVerifyJoined(t *testing.T) {
	for _, family := range models.Joined() {
		for _, name := range joinedDirs[family] {
			for _, format := range []string{"f32", "bf16", "int8", "int4"} {
				t.Run(name+"/"+format, func(t *testing.T) {
					g := openTold(t, name)
					loaded := g.open(t, compiler.Options{Quant: format}, compiler.VerifySettings())
					v, err := compiler.Against(t.Context(), loaded.Plan, loaded.Model.(engine.Tracer), compiler.Original{Dir: g.dir})
					check(t, err)
					if !v.OK {
						t.Errorf("%+v", v)
					}
				})
			}
		}
	}
}

// What config.json asks for and nothing here computes is refused by its key.
func TestJoinedRefuses(t *testing.T) {
	g := openTold(t, "llava-clip")
	config, err := os.ReadFile(filepath.Join(g.dir, "config.json"))
	check(t, err)
	for _, c := range []struct{ old, new, want string }{
		{`"model_type": "llama"`, `"model_type": "gemma"`, `text_config.model_type: "gemma" is not supported as text_config; supported are llama, qwen2, mistral`},
		{`"clip_vision_model"`, `"swin"`, `vision_config.model_type: "swin"`},
		{`"vision_feature_layer": -2`, `"vision_feature_layer": [-2, -3]`, "vision_feature_layer: 2 layers are not supported"},
		{`"vision_feature_layer": -2`, `"vision_feature_layer": -4`, "vision_feature_layer"},
		{`"vision_feature_layer": -2`, `"vision_feature_layer": 0`, "vision_feature_layer: rows behind layer 0 of 3"},
		{`"default"`, `"some"`, `vision_feature_select_strategy: "some" is not supported`},
		{`"projector_hidden_act": "gelu"`, `"projector_hidden_act": "tan"`, `projector_hidden_act: activation "tan"`},
		{`"image_token_index": 3`, `"image_token_index": 264`, "image_token_index: 264 is outside 0..263"},
		{`"image_token_index": 3,`, ``, "image_token_index: is missing"},
		{`"vision_config"`, `"other_config"`, "other_config"},
		{`"image_size": 32`, `"image_size": 36`, "image_size: 36 is not a multiple of patch_size 8"},
	} {
		dir := filepath.Join(t.TempDir(), "model")
		check(t, os.CopyFS(dir, os.DirFS(g.dir)))
		text := strings.Replace(string(config), c.old, c.new, 1)
		if text == string(config) {
			t.Fatalf("config.json has no %s", c.old)
		}
		check(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o644))
		_, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: filepath.Join(t.TempDir(), "x.plan"), Quant: "f32"})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.new, err, c.want)
		}
	}
}
