package server

import (
	"encoding/base64"
	"net/http"
	"strings"
	"sync/atomic"

	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/encode"
	"llmc/runtime/server/strictjson"
)

// Tensors of encoders that read images: their files, or what is left of them once they are prepared.
const (
	imageFiles  = "image"
	pixelValues = "pixel_values"
)

const (
	maxEncodedImages = 256
	// maxEncodedBytes bounds the rows of patches of all requests that encode images.
	maxEncodedBytes = 1 << 30
)

// encodedBytes are the bytes of rows that requests hold.
var encodedBytes atomic.Int64

// encodesImages tells whether vectors are made of images.
func (m *Model) encodesImages() bool {
	if m.Encoder == nil {
		return false
	}
	_, images := m.Encoder.Reads()
	return images
}

// plain makes the elements of tensors values as those of models with plans are.
func (in *inferRequest) plain() error {
	for i := range in.inputs {
		t := &in.inputs[i]
		if t.whole == nil {
			continue
		}
		n := t.whole.Len()
		if n > maxElements {
			return invalid(clip(t.name, maxParam), "invalid_value", "%.64q: %d elements, at most %d", t.name, n, maxElements)
		}
		t.elements = make([]strictjson.Value, n)
		for j := range t.elements {
			t.elements[j] = t.whole.Element(nil, int64(j))
		}
		t.whole = nil
	}
	return nil
}

// takeImages moves tensors of images to a request of an encoder that reads them.
func (in *inferRequest) takeImages(r *request) error {
	s := r.model.Info.Image
	if s == nil || !r.model.encodesImages() {
		return nil
	}
	left := in.inputs[:0]
	for _, t := range in.inputs {
		var err error
		switch {
		case t.name == imageFiles && t.whole != nil:
			err = t.takeFiles(r)
		case t.name == pixelValues && t.whole != nil:
			err = t.takePixels(r, s)
		default:
			left = append(left, t)
		}
		if err != nil {
			return err
		}
	}
	in.inputs = left
	return nil
}

func (t *tensor) takeFiles(r *request) error {
	if t.datatype != "BYTES" {
		return invalid(imageFiles, "invalid_type", "%s: must be BYTES, a file each", imageFiles)
	}
	if len(t.whole.Texts) > maxEncodedImages {
		return invalid(imageFiles, "too_many_images", "%s: %d images, at most %d", imageFiles, len(t.whole.Texts), maxEncodedImages)
	}
	for i, text := range t.whole.Texts {
		data, err := imageBytes(text)
		if err != nil {
			return invalid(imageFiles, "invalid_value", "%s: image %d: %s", imageFiles, i, err.message)
		}
		r.images = append(r.images, data)
	}
	return nil
}

// imageBytes is the file that an element holds: as it is, which JSON has no way to say, in base64, or as a data URL.
func imageBytes(text string) ([]byte, *apiError) {
	data := []byte(text)
	if strings.HasPrefix(http.DetectContentType(data), "image/") {
		return data, nil
	}
	if strings.Contains(text[:min(len(text), len("https:"))], ":") {
		return readDataURL(text)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) == 0 {
		return nil, invalid("", "invalid_value", "must be an image file, in base64 or as data:image/png;base64,...")
	}
	return data, nil
}

func (t *tensor) takePixels(r *request, s *engine.ImageSettings) error {
	shape := t.whole.Shape
	if t.datatype != "FP32" || len(shape) != 4 || shape[1] != engine.ImageChannels || shape[2] != int64(s.Height) || shape[3] != int64(s.Width) {
		return invalid(pixelValues, "invalid_value", "%s: must be FP32, of shape [images, %d, %d, %d]", pixelValues, engine.ImageChannels, s.Height, s.Width)
	}
	if shape[0] > maxEncodedImages {
		return invalid(pixelValues, "too_many_images", "%s: %d images, at most %d", pixelValues, shape[0], maxEncodedImages)
	}
	values := t.whole.Float32s()
	for each := engine.ImageChannels * s.Height * s.Width; len(values) > 0; values = values[each:] {
		r.pixels = append(r.pixels, values[:each])
	}
	return nil
}

// pictures makes the sequences of the request's images. Their memory is taken, and given back by released.
func (r *request) pictures() (inputs []encode.Input, err error) {
	n := len(r.images) + len(r.pixels)
	if n == 0 {
		return nil, nil
	}
	s := r.model.Info.Image
	r.pictureBytes = int64(n) * 4 * int64(s.Rows()*s.Columns())
	defer func() {
		if err != nil {
			r.released()
		}
	}()
	if encodedBytes.Add(r.pictureBytes) > maxEncodedBytes {
		return nil, runtime.ErrQueueFull
	}
	for i, data := range r.images {
		in, err := decoded(func() (encode.Input, error) { return r.model.Encoder.Image(data) })
		if err != nil {
			return nil, invalid(imageFiles, "invalid_image", "image %d: %v", i, err)
		}
		inputs = append(inputs, in)
	}
	for _, values := range r.pixels {
		in, err := r.model.Encoder.Pixels(values)
		if err != nil {
			return nil, invalid(pixelValues, "invalid_value", "%s: %v", pixelValues, err)
		}
		inputs = append(inputs, in)
	}
	for _, in := range inputs {
		r.encodedTokens += len(in.IDs)
	}
	r.images, r.pixels = nil, nil
	return inputs, nil
}

// released gives back the memory of pictures.
func (r *request) released() {
	encodedBytes.Add(-r.pictureBytes)
	r.pictureBytes = 0
}

// readEmbedded reads what embeddings are made of, which is given once.
func readEmbedded(read rule) rule {
	return func(r *request, v strictjson.Value) *apiError {
		if len(r.prompts)+len(r.images) > 0 {
			return invalid("", "invalid_value", "give either input or messages")
		}
		return read(r, v)
	}
}

// oneMessage is what is embedded of a conversation.
const oneMessage = "must be one message of the role user, whose content is a text or one part of type text or image_url: an embedding is of one text or image"

// readEmbeddedMessage reads a message as vLLM's clients send images to be embedded.
func readEmbeddedMessage(r *request, v strictjson.Value) *apiError {
	if !r.model.encodesImages() {
		return invalid("", "unsupported_value", "the model embeds texts; give them as input")
	}
	list, _ := v.Array()
	if len(list) != 1 {
		return invalid("", "invalid_value", oneMessage)
	}
	members, _ := list[0].Object()
	var parts []contentPart
	role := ""
	for _, m := range members {
		switch m.Key {
		case "role":
			role, _ = m.Value.Text()
		case "content":
			var err *apiError
			if parts, err = r.contentParts(m.Value); err != nil {
				return err
			}
		default:
			return invalid("", "unknown_parameter", "%.32q: %s", m.Key, oneMessage)
		}
	}
	if role != "user" || len(parts) != 1 {
		return invalid("", "invalid_value", oneMessage)
	}
	if !parts[0].image {
		r.prompts = []prompt{{text: parts[0].text, isText: true}}
	}
	return nil
}
