package compiler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
)

// processor is a class of transformers that prepares images, with what it does where preprocessor_config.json is silent.
type processor struct {
	names     []string // of the class, and of those that do the same
	edge      bool     // a size of one number is that of the shortest edge; else of both sides
	size      int64
	crop      int64 // 0: the middle is not cut out
	filter    string
	mean, std []float64
}

var (
	halves   = []float64{0.5, 0.5, 0.5}
	clipMean = []float64{0.48145466, 0.4578275, 0.40821073}
	clipStd  = []float64{0.26862954, 0.26130258, 0.27577711}
)

// processors by the families whose models have them. Others with the same keys do the same with them.
var processors = map[string]*processor{
	"vit":    {[]string{"ViTImageProcessor", "ViTFeatureExtractor"}, false, 224, 0, "bilinear", halves, halves},
	"clip":   {[]string{"CLIPImageProcessor", "CLIPFeatureExtractor"}, true, 224, 224, "bicubic", clipMean, clipStd},
	"siglip": {[]string{"SiglipImageProcessor"}, false, 224, 0, "bicubic", halves, halves},
}

// preparingKeys of preprocessor_config.json are read; silentKeys change no pixel.
var (
	preparingKeys = strings.Fields(`do_resize size resample do_center_crop crop_size do_rescale rescale_factor do_normalize image_mean image_std do_convert_rgb`)
	silentKeys    = strings.Fields(`image_processor_type feature_extractor_type processor_class data_format input_data_format default_to_square device return_tensors _valid_processor_keys`)
)

// imageSettings reads how images are prepared for a model that reads them; nil for others.
func imageSettings(c *hf.Checkpoint, m *models.Info) (*engine.ImageSettings, error) {
	in := m.Image
	if in == nil {
		return nil, nil
	}
	p := processors[cmp.Or(in.Prepared, m.Family)]
	if p == nil {
		return nil, fmt.Errorf("nothing is known of how images are prepared for a %s model", m.Family)
	}
	f, err := processorFields(c)
	if err != nil {
		return nil, err
	}
	s := &engine.ImageSettings{Width: in.Width, Height: in.Height, Patch: in.Patch, Class: in.Class}
	p.read(f, s)
	if err := f.Err(); err != nil {
		return nil, err
	}
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("preprocessor_config.json: %w", err)
	}
	return s, nil
}

// processorFields returns what the checkpoint says of how images are prepared; nothing, if it has no file.
func processorFields(c *hf.Checkpoint) (*hf.Fields, error) {
	for _, part := range []hf.Part{hf.Preprocessor, hf.Processor} {
		d, err := c.Document(part)
		if err != nil {
			return nil, err
		}
		if d == nil {
			continue
		}
		object, err := hf.ParseObject(d.Name, d.Data)
		if err != nil {
			return nil, err
		}
		f := object.Fields()
		if part == hf.Preprocessor {
			return f, nil
		}
		if f = f.Object("image_processor"); f != nil {
			return f, nil
		}
	}
	object, err := hf.ParseObject("preprocessor_config.json", []byte("{}"))
	return object.Fields(), err
}

// read fills s with what the file says.
func (p *processor) read(f *hf.Fields, s *engine.ImageSettings) {
	p.checkKeys(f)
	if f.BoolOr("do_resize", true) {
		p.readSize(f, s)
		number := f.IntOr("resample", int64(slices.Index(engine.ImageFilters, p.filter)), 0, int64(len(engine.ImageFilters)-1))
		s.Filter = engine.ImageFilters[number]
	}
	if f.BoolOr("do_center_crop", p.crop > 0) {
		s.CropWidth, s.CropHeight = readSides(f, "crop_size", cmp.Or(p.crop, 224))
	}
	if f.BoolOr("do_rescale", true) {
		s.Rescale = f.FloatOr("rescale_factor", 1./255, 0, 1e6)
	}
	if f.BoolOr("do_normalize", true) {
		s.Mean, s.Std = readChannels(f, "image_mean", p.mean), readChannels(f, "image_std", p.std)
	}
}

// checkKeys refuses keys that may change pixels and that nothing here reads, and another class than the family's.
func (p *processor) checkKeys(f *hf.Fields) {
	for _, key := range []string{"image_processor_type", "feature_extractor_type"} {
		if class := f.TextOr(key, ""); class != "" && !slices.Contains(p.names, strings.TrimSuffix(class, "Fast")) {
			f.Fail(key, "%q is not supported; it must be %s", class, p.names[0])
		}
	}
	for _, key := range f.Keys() {
		switch v := f.Value(key).(type) {
		case nil:
			continue
		case bool:
			if !v {
				continue
			}
		}
		if !slices.Contains(preparingKeys, key) && !slices.Contains(silentKeys, key) {
			f.Fail(key, "is not a known key of a %s and may change pixels; take it out of the file if it does not", p.names[0])
		}
	}
}

// readSize reads what an image is resized to: a number, {"shortest_edge"} or {"height", "width"}.
func (p *processor) readSize(f *hf.Fields, s *engine.ImageSettings) {
	const most = 1 << 13
	size, nested := f.Value("size").(*hf.Object)
	if !nested {
		n := int(f.IntOr("size", p.size, 1, most))
		if p.edge {
			s.ShortestEdge = n
		} else {
			s.ResizeWidth, s.ResizeHeight = n, n
		}
		return
	}
	if size.Has("shortest_edge") {
		in := f.Object("size")
		onlyKeys(in, "shortest_edge")
		s.ShortestEdge = int(in.Int("shortest_edge", 1, most))
		return
	}
	s.ResizeWidth, s.ResizeHeight = readSides(f, "size", p.size)
}

// readSides reads a width and a height: a number for both, or {"height", "width"}.
func readSides(f *hf.Fields, key string, def int64) (width, height int) {
	const most = 1 << 13
	if _, nested := f.Value(key).(*hf.Object); !nested {
		n := int(f.IntOr(key, def, 1, most))
		return n, n
	}
	in := f.Object(key)
	onlyKeys(in, "width", "height")
	return int(in.Int("width", 1, most)), int(in.Int("height", 1, most))
}

func onlyKeys(f *hf.Fields, known ...string) {
	for _, key := range f.Keys() {
		if f.Has(key) && !slices.Contains(known, key) {
			f.Fail(key, "is not supported beside %s", strings.Join(known, " and "))
		}
	}
}

// readChannels reads a number for each channel.
func readChannels(f *hf.Fields, key string, def []float64) []float64 {
	x := f.Floats(key, -1e6, 1e6)
	if x == nil {
		return def
	}
	if len(x) != engine.ImageChannels {
		f.Fail(key, "has %d numbers, not %d", len(x), engine.ImageChannels)
	}
	return x
}
