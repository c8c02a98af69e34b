package models

import (
	"llmc/compiler/hf"
	"llmc/internal/dtype"
	"llmc/ir"
)

// Functions of models that read images, and texts that are compared with them.
const (
	ImageFunc = "image"
	TextFunc  = "text"
)

// Image is what an image encoder reads: patches of images of a size.
type Image struct {
	Width, Height, Patch int
	Class                bool   // a row that the model has of its own comes first
	Prepared             string // family whose images are prepared alike; "": the model's own
}

// Insert is what tokens of a prompt stand for an image: as many as function "image" makes rows, without the first Skip ones.
type Insert struct {
	Token int32
	Skip  int
}

// imageChannels are red, green and blue.
const imageChannels = 3

// rows is how many rows an image has.
func (im *Image) rows() int {
	n := im.Width / im.Patch * (im.Height / im.Patch)
	if im.Class {
		n++
	}
	return n
}

// Text is how a text becomes the sequence that a text encoder reads; see engine.EncoderInfo.
type Text struct {
	MaxTokens, PadTo int
	Pad, EndID       int32
	End              string
}

// towers are the encoders of a model that reads images: each is a function. What they have in common with decoders is described as those are; config.json
// has an object for each, or is that of the only one.
type towers struct {
	image *tower
	text  *tower // nil: the model reads images alone
	pair  func(in *importer, info *Info)
}

// tower is one encoder.
type tower struct {
	key    string // of config.json, where its settings lie; "": they are those of the model
	family *family
	// give makes the function's result of the last layer's rows. One that caches more moves the token of the step on.
	give func(in *importer, d *decoder, rows *ir.Value, s *ir.Step) *ir.Value
	end  func(f *hf.Fields, d *decoder, t *Text) // of texts
}

// patches are the tensors that make rows of patches.
type patches struct {
	size   int64  // pixels of a patch, where config.json does not say
	embed  string // of the convolution that takes patches to rows
	biased bool
	class  string // the row that comes first; "": there is none
}

// importTowers builds the functions of a model that reads images.
func importTowers(c *hf.Checkpoint, fam *family, opts Options) (*importer, *Info, error) {
	root := c.Config.Fields()
	t := fam.towers
	in := newImporter(c, fam)
	in.readCodes(&opts)
	info := &Info{Family: fam.modelType, Vocab: 1}
	if t.image.key != "" {
		checkKeys(root, fam, fam.keysRead(), opts.IgnoreKeys)
	}
	image, im := t.image.read(root, opts), Image{}
	if root.Err() == nil {
		im = readImage(t.image.fields(root), image)
		info.Image = &im
	}
	var text *decoder
	if t.text != nil && root.Err() == nil {
		text = t.text.read(root, opts)
		info.Text, info.Vocab = &Text{MaxTokens: int(text.maxContext)}, text.vocab
		t.text.end(t.text.fields(root), text, info.Text)
	}
	if err := root.Err(); err != nil {
		return nil, nil, err
	}
	in.buildImage(image, &im, t.image, opts)
	info.take(image, int64(im.rows()))
	if text != nil {
		in.buildText(text, t.text, opts)
		info.MaxContext = max(info.MaxContext, text.maxContext)
	}
	if t.pair != nil {
		t.pair(in, info)
	}
	return in, info, nil
}

// take fills info with the sizes of the image encoder.
func (info *Info) take(d *decoder, rows int64) {
	info.Hidden, info.Inner, info.Layers, info.Heads, info.KVHeads, info.HeadDim, info.MaxContext = d.hidden, d.inner, d.layers, d.heads, d.kvHeads, d.dim, rows
}

// fields returns the tower's part of config.json; one without keys where there is none.
func (t *tower) fields(root *hf.Fields) *hf.Fields {
	if t.key == "" {
		return root
	}
	if f := root.Object(t.key); f != nil {
		return f
	}
	return root.Empty(t.key)
}

// read reads the tower's sizes, as readDecoder does.
func (t *tower) read(root *hf.Fields, opts Options) *decoder {
	f := t.fields(root)
	checkKeys(f, t.family, t.family.keysRead(), opts.IgnoreKeys)
	d := readDecoder(f, t.family)
	d.whole = true
	if f.Err() == nil {
		t.family.describe(f, d)
	}
	return d
}

// readImage reads what images the tower takes.
func readImage(f *hf.Fields, d *decoder) Image {
	const most = 1 << 13
	im := Image{Patch: int(f.IntOr("patch_size", d.patches.size, 1, most)), Class: d.patches.class != ""}
	im.Width = int(f.IntOr("image_size", 224, 1, most))
	im.Height = im.Width
	if channels := f.IntOr("num_channels", imageChannels, 1, most); channels != imageChannels {
		f.Fail("num_channels", "%d is not supported; it must be %d", channels, imageChannels)
	}
	if im.Patch > 0 && (im.Width < im.Patch || im.Width%im.Patch != 0) {
		f.Fail("image_size", "%d is not a multiple of patch_size %d", im.Width, im.Patch)
	}
	return im
}

// cacheOf declares the page of keys and values that the layers of a tower use one after the other.
func (in *importer) cacheOf(name string, d *decoder, opts Options) *ir.Cache {
	kv := opts.KV
	if kv == dtype.Invalid {
		kv = dtype.F32
	}
	return in.PagedCache(name, 1, d.kvHeads, d.dim, kv)
}

// buildImage writes the function of images. The row of the model's own is one of zeros in what is brought; its type says which one it is.
func (in *importer) buildImage(d *decoder, im *Image, t *tower, opts Options) {
	s := in.Sequences(ImageFunc, in.cacheOf("image", d, opts))
	p := &d.patches
	cols := imageChannels * im.Patch * im.Patch
	var bias *ir.Value
	if p.biased && !im.Class {
		bias = in.bias(p.embed+".bias", "col", d.hidden)
	}
	x := in.Linear(in.Soft(cols), in.patchMatrix(p.embed, d.hidden, im.Patch), bias)
	if im.Class {
		x = in.Add(x, in.GatherTypes(in.rowTypes(p, d.hidden), s.Types))
	}
	x = in.Add(x, in.GatherPositions(in.positionTable(d.names.positions, im.rows(), d.hidden), s.Positions)).As("embed")
	if d.names.embedNorm != "" {
		x = in.normed(d, x, d.names.embedNorm)
	}
	in.finish(d, t, x, s)
}

// finish writes what comes behind the embeddings, and ends the function.
func (in *importer) finish(d *decoder, t *tower, x *ir.Value, s ir.Step) {
	var rows *ir.Value
	rows, s.Token = in.stack(d, x, map[*rope]ir.Rope{}, s)
	y := t.give(in, d, rows, &s)
	in.Return(y, s.Token)
}

// positionTable declares a table of learned positions, which some checkpoints store as a batch of one.
func (in *importer) positionTable(name string, rows, hidden int) *ir.Value {
	dims := []int{rows, hidden}
	if t := in.checkpoint.Lookup(in.stored(name)); t != nil && len(t.Shape) == 3 {
		dims = append([]int{1}, dims...)
	}
	t := in.tensor(name, dims...)
	if t == nil {
		return &ir.Value{}
	}
	return in.declared(name, "", t, ir.TensorRows(t.Name, 0, int64(rows)), rows, hidden)
}

// patchMatrix is the convolution over patches, which do not overlap: a product with their pixels.
func (in *importer) patchMatrix(name string, hidden, patch int) *ir.Value {
	name += ".weight"
	t := in.tensor(name, hidden, imageChannels, patch, patch)
	if t == nil {
		return &ir.Value{}
	}
	return in.declared(name, "col", t, ir.TensorRows(t.Name, 0, t.Rows()), hidden, imageChannels*patch*patch)
}

// rowTypes is what is added to rows by their type: to those of patches, 0, the bias of their product; to the first one, 1, which is zero, the model's own row.
func (in *importer) rowTypes(p *patches, hidden int) *ir.Value {
	first := ir.Zeros(1)
	if p.biased {
		t := in.tensor(p.embed+".bias", hidden)
		if t == nil {
			return &ir.Value{}
		}
		first = ir.TensorRows(t.Name, 0, 1)
	}
	own := in.row(p.class, hidden)
	if own == nil {
		return &ir.Value{}
	}
	return in.declared(p.class+".types", "", own, ir.ConcatRows(first, ir.TensorRows(own.Name, 0, 1)), 2, hidden)
}

// row returns a tensor that is one row, however many dimensions of 1 it has.
func (in *importer) row(name string, hidden int) *hf.Tensor {
	dims := []int{hidden}
	if t := in.checkpoint.Lookup(in.stored(name)); t != nil {
		for len(dims) < len(t.Shape) && len(dims) < 3 {
			dims = append([]int{1}, dims...)
		}
	}
	return in.tensor(name, dims...)
}

// buildText writes the function of texts.
func (in *importer) buildText(d *decoder, t *tower, opts Options) {
	s := in.Sequences(TextFunc, in.cacheOf("text", d, opts))
	table := in.matrix(d.names.table+".weight", "col", d.vocab, d.hidden)
	in.finish(d, t, in.embed(d, table, s), s)
}

// scalar reads a number that the model was trained to, and that no function reads.
func (in *importer) scalar(name string) *float64 {
	dims := []int{}
	if t := in.checkpoint.Lookup(in.stored(name)); t != nil && len(t.Shape) == 1 {
		dims = append(dims, 1)
	}
	t := in.tensor(name, dims...)
	if t == nil {
		return nil
	}
	value := make([]float32, 1)
	in.Fail(t.ReadRows(value, 0, t.Rows()))
	x := float64(value[0])
	return &x
}
