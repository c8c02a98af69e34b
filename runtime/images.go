package runtime

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"llmc/engine"
	"llmc/internal/sym"
	"llmc/runtime/pixels"
	"llmc/runtime/sched"
)

// Picture is an image file made ready for a model: rows of patches, and what tells it from others. It may be part of several requests.
type Picture struct {
	rows   []float32
	digest [sha256.Size]byte // of the rows
}

// ReadPicture decodes an image file and prepares it as the model wants it.
func ReadPicture(data []byte, info *engine.ModelInfo) (*Picture, error) {
	if info.Insert == nil {
		return nil, errors.New("the model reads no images")
	}
	m, err := pixels.Read(data, info.Image)
	if err != nil {
		return nil, err
	}
	p := &Picture{rows: m.Patches(info.Image)}
	h := sha256.New()
	var block [4096]byte
	for list := range slices.Chunk(p.rows, len(block)/4) {
		for i, x := range list {
			binary.LittleEndian.PutUint32(block[4*i:], math.Float32bits(x))
		}
		h.Write(block[:4*len(list)])
	}
	h.Sum(p.digest[:0])
	return p, nil
}

func (p *Picture) bytes() int64 { return 4 * int64(len(p.rows)) }

// maxPictureBytes bounds what the rows of patches of all requests take that have not ended.
const maxPictureBytes = 1 << 30

// pictureKeys gives equal pictures equal numbers, for as long as it remembers them: a number is never given again. It remembers the last ones.
type pictureKeys struct {
	next        int32
	recent, old map[[sha256.Size]byte]int32
}

// maxPictureKeys is how many pictures are remembered at least.
const maxPictureKeys = 1 << 14

var errPictureKeys = errors.New("no number is left to tell images apart; start the model again")

func (k *pictureKeys) of(p *Picture) (int32, error) {
	if key, ok := k.recent[p.digest]; ok {
		return key, nil
	}
	key, ok := k.old[p.digest]
	if !ok {
		if k.next == math.MaxInt32 {
			return 0, errPictureKeys
		}
		key = k.next
		k.next++
	}
	if len(k.recent) >= maxPictureKeys || k.recent == nil {
		k.recent, k.old = map[[sha256.Size]byte]int32{}, k.recent
	}
	k.recent[p.digest] = key
	return key, nil
}

// placed is a picture in a generation's prompt.
type placed struct {
	*Picture
	made []float32 // rows in place of tokens; nil: not made, or needed no more
}

// checkImages wants a token for each row of each picture.
func (e *Engine) checkImages(r *Request) string {
	if e.info.Insert == nil {
		if len(r.Pictures) > 0 {
			return "the model reads no images"
		}
		return ""
	}
	found := 0
	for i := 0; i < len(r.Prompt); i++ {
		if r.Prompt[i] != e.info.Insert.Token {
			continue
		}
		found++
		end := i + e.info.ImageTokens()
		if end > len(r.Prompt) || slices.ContainsFunc(r.Prompt[i:end], func(id int32) bool { return id != e.info.Insert.Token }) {
			return fmt.Sprintf("token %d stands for a row of an image, which has %d; at position %d there are fewer", e.info.Insert.Token, e.info.ImageTokens(), i)
		}
		i = end - 1
	}
	if found != len(r.Pictures) {
		return fmt.Sprintf("tokens of %d images, and %d images; token %d stands for rows of images alone", found, len(r.Pictures), e.info.Insert.Token)
	}
	return ""
}

// place says to the scheduler where the images of a prompt are. The caller holds the lock.
func (e *Engine) place(r *Request, to *sched.Request, g *generation) error {
	bytes := int64(0)
	for _, p := range r.Pictures {
		bytes += p.bytes()
	}
	if e.pictureBytes > 0 && e.pictureBytes+bytes > maxPictureBytes {
		return ErrQueueFull
	}
	at := 0
	for _, p := range r.Pictures {
		key, err := e.keys.of(p)
		if err != nil {
			return err
		}
		at += slices.Index(r.Prompt[at:], e.info.Insert.Token)
		to.Images = append(to.Images, sched.Image{At: at, Rows: e.info.ImageTokens(), Key: key, Owner: &placed{Picture: p}})
		at += e.info.ImageTokens()
	}
	g.pictureBytes = bytes
	return nil
}

// painter makes rows of images. It is the loop's own.
type painter struct {
	runner engine.Runner
	info   *engine.ModelInfo
	result engine.Buffer
	page   int
	step   engine.Step
	out    []float32
}

// newPainter returns nil for models that read no images among tokens.
func newPainter(model engine.Model, info *engine.ModelInfo, page int) (*painter, error) {
	if info.Insert == nil {
		return nil, nil
	}
	p := &painter{info: info, page: page}
	var ok bool
	if p.runner, ok = model.(engine.Runner); !ok {
		return nil, errors.New("the device reads no images; use cpu")
	}
	results := p.runner.Results(engine.ImageFunc)
	if len(results) != 1 || results[0].Rows != sym.Of(sym.T) {
		return nil, fmt.Errorf("function %s does not give a row for each of an image", engine.ImageFunc)
	}
	p.result = results[0]
	p.out = make([]float32, info.Image.Rows()*int(p.result.Cols))
	return p, nil
}

// make runs function "image" in the given pages.
func (p *painter) make(picture *Picture, pages []int32) ([]float32, error) {
	s := &p.step
	s.Reset()
	n := p.info.Image.Rows()
	s.IDs, s.Types = append(s.IDs, make([]int32, n)...), append(s.Types, p.info.Image.Types(n)...)
	s.Soft, s.Pages = append(s.Soft, picture.rows...), append(s.Pages, pages...)
	s.EndSequence(0, n, p.page)
	if err := p.runner.Run(engine.ImageFunc, s, [][]float32{p.out}); err != nil {
		return nil, err
	}
	return slices.Clone(p.out[p.info.Insert.Skip*int(p.result.Cols):]), nil
}

// show puts the rows of images that a step takes in into it, and makes those that have not been made.
func (p *painter) show(st *engine.Step, shown []sched.Shown) error {
	if len(shown) == 0 {
		return nil
	}
	width := int(p.result.Cols)
	st.Types = append(st.Types[:0], make([]int32, st.T())...)
	st.Soft = slices.Grow(st.Soft[:0], st.T()*width)[:st.T()*width] // rows of tokens hold anything
	for i := range shown {
		x := &shown[i]
		image := x.Owner.(*placed)
		if x.Make != nil {
			var err error
			if image.made, err = p.make(image.Picture, x.Make); err != nil {
				return fmt.Errorf("image: %w", err)
			}
		}
		copy(st.Soft[x.Token*width:], image.made[x.From*width:(x.From+x.Rows)*width])
		for t := range x.Rows {
			st.Types[x.Token+t] = 1
		}
		if x.Last {
			image.made = nil
		}
	}
	return nil
}

// tokens is how many tokens function "image" has for what is shown.
func (p *painter) tokens(shown []sched.Shown) int {
	n := 0
	for i := range shown {
		if shown[i].Make != nil {
			n += p.info.Image.Rows()
		}
	}
	return n
}

// Rows makes what images bring into a prompt in which they begin at the given positions: types of its tokens, and a row for each, for engine.ForwardRows.
// Nothing else may run on the model meanwhile.
func Rows(model engine.Model, info *engine.ModelInfo, prompt []int32, at []int, pictures []*Picture) (types []int32, soft []float32, err error) {
	limits, pages := model.Limits()
	p, err := newPainter(model, info, limits.PageSize)
	if err != nil || len(pictures) == 0 {
		return nil, nil, err
	}
	scratch := make([]int32, min(pages, (info.Image.Rows()+limits.PageSize-1)/limits.PageSize))
	for i := range scratch {
		scratch[i] = int32(i)
	}
	types, soft = make([]int32, len(prompt)), make([]float32, len(prompt)*int(p.result.Cols))
	for i, picture := range pictures {
		made, err := p.make(picture, scratch)
		if err != nil {
			return nil, nil, err
		}
		copy(soft[at[i]*int(p.result.Cols):], made)
		for t := range info.ImageTokens() {
			types[at[i]+t] = 1
		}
	}
	return types, soft, nil
}
