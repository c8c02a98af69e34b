package models

import (
	"slices"
	"strings"

	"llmc/compiler/hf"
	"llmc/ir"
)

// joined describes a model that reads images among tokens: a decoder, and an encoder of images whose rows take the place of tokens'. config.json has an object
// for each, whose model_type names it.
type joined struct {
	texts, images []*part
	parts         []placed // where their tensors are
	read          func(f *hf.Fields, image *decoder, im *Image, in *Insert)
	project       func(in *importer, f *hf.Fields, image *decoder, x *ir.Value, width int) *ir.Value
}

// part is a family as part of such a model.
type part struct {
	*family
	defaults defaults // of transformers' class, which config.json may be silent about
	prepared string   // of encoders of images: the family of the registry whose images are prepared alike
}

// placed are the names that checkpoints have for the beginning of a part's, of which each has one: that with which there is the tensor probe.
type placed struct {
	from, probe string
	to          []string
}

// Objects of config.json.
const (
	textKey  = "text_config"
	imageKey = "vision_config"
)

// importJoined builds the functions "step" and "image" of a model that reads images among tokens.
func importJoined(c *hf.Checkpoint, fam *family, opts Options) (*importer, *Info, error) {
	root, j := c.Config.Fields(), fam.joined
	checkKeys(root, fam, fam.keysRead(), opts.IgnoreKeys)
	text, textPart := readPart(root, textKey, j.texts, opts)
	image, imagePart := readPart(root, imageKey, j.images, opts)
	im, insert := Image{}, Insert{}
	if root.Err() == nil {
		text.inserts, text.tied = true, text.tied || root.BoolOr("tie_word_embeddings", false)
		image.whole = true
		im = readImage(root.Object(imageKey), image)
		im.Prepared = imagePart.prepared
		insert.Token = readImageToken(root, text)
		j.read(root, image, &im, &insert)
	}
	if err := root.Err(); err != nil {
		return nil, nil, err
	}
	in := newImporter(c, fam)
	in.readCodes(&opts)
	in.place(j.parts)
	in.buildStep(text, opts)
	in.buildImage(image, &im, &tower{give: func(in *importer, d *decoder, rows *ir.Value, _ *ir.Step) *ir.Value {
		return j.project(in, root, d, rows, text.hidden).As("hidden")
	}}, opts)
	in.unused = slices.Concat(text.unused, image.unused, textPart.unused, imagePart.unused)
	info := infoOf(text, fam)
	info.Image, info.Insert = &im, &insert
	return in, info, nil
}

// readPart reads the sizes of a part, which is of one of the families.
func readPart(root *hf.Fields, key string, of []*part, opts Options) (*decoder, *part) {
	f := root.Object(key)
	if f == nil {
		root.Fail(key, "is missing")
		return nil, nil
	}
	name := f.TextOr("model_type", of[0].modelType)
	i := slices.IndexFunc(of, func(p *part) bool { return p.modelType == name })
	if i < 0 {
		var known []string
		for _, p := range of {
			known = append(known, p.modelType)
		}
		f.Fail("model_type", "%q is not supported as %s; supported are %s", name, key, strings.Join(known, ", "))
		return nil, nil
	}
	fam := *of[i].family
	fam.defaults = of[i].defaults
	checkKeys(f, &fam, fam.keysRead(), opts.IgnoreKeys)
	d := readDecoder(f, &fam)
	if f.Err() == nil && fam.describe != nil {
		fam.describe(f, d)
	}
	return d, of[i]
}

// readImageToken reads the token that stands for a row of an image.
func readImageToken(f *hf.Fields, text *decoder) int32 {
	key := named(f, "image_token_index image_token_id")
	return int32(f.Int(key, 0, int64(text.vocab)-1))
}

// place finds out how the checkpoint calls the parts; what it lacks has the first name.
func (in *importer) place(parts []placed) {
	for _, p := range parts {
		i := max(0, slices.IndexFunc(p.to, func(to string) bool { return in.checkpoint.Has(to + p.probe) }))
		in.moved = append(in.moved, moved{p.from, p.to[i]})
	}
}
