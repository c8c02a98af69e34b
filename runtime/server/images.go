package server

import (
	"encoding/base64"
	"strings"

	"llmc/runtime"
	"llmc/runtime/server/strictjson"
)

// imagePart is the type of content parts that are images.
const imagePart = "image_url"

// Bounds of images. Bodies of requests to models that read images may be as large as imageBody; decoding one takes up to a gigabyte for a moment.
const (
	defaultImages = 8
	imageBody     = 32 << 20
	decodedAtOnce = 2
)

// decoding has a place for each image that is decoded at the time.
var decoding = make(chan struct{}, decodedAtOnce)

func (m *Model) readsImages() bool { return m.Info.Insert != nil || m.encodesImages() }

// maxImages is how many images a request may have.
func (m *Model) maxImages() int {
	if m.MaxImages > 0 {
		return m.MaxImages
	}
	return defaultImages
}

// details are the values that clients have for how closely an image is to be looked at. Models here look in one way.
var details = map[string]bool{"auto": true, "low": true, "high": true}

// readImagePart takes in the file of a part {"type": "image_url", "image_url": {"url": "data:image/png;base64,...", "detail": ..}}.
func (r *request) readImagePart(part []strictjson.Member) *apiError {
	if most := r.model.maxImages(); len(r.images) >= most {
		return invalid("", "too_many_images", "there are more than %d images, which a request may have here", most)
	}
	url, found := "", false
	for _, m := range part {
		if m.Key != imagePart {
			continue
		}
		members, ok := m.Value.Object()
		if !ok {
			return wrongType(m.Value, "an object with url")
		}
		for _, m := range members {
			text, isText := m.Value.Text()
			switch {
			case m.Key == "url" && isText:
				url, found = text, true
			case m.Key == "detail" && (details[text] || m.Value.IsNull()):
			default:
				return invalid("", "invalid_value", "%s: %.32q is not supported with this value; url must be a string, detail auto, low or high", imagePart, m.Key)
			}
		}
	}
	if !found {
		return invalid("", "invalid_value", "a part of type %s needs an object %s with url", imagePart, imagePart)
	}
	data, err := readDataURL(url)
	r.images = append(r.images, data)
	return err
}

// readDataURL returns the bytes of a data URL (RFC 2397) of an image.
func readDataURL(url string) ([]byte, *apiError) {
	scheme, rest, _ := strings.Cut(url, ":")
	switch strings.ToLower(scheme) {
	case "http", "https":
		return nil, invalid("", "unsupported_value", "url: images are never fetched from other hosts, and no flag allows it; send the file itself as data:image/png;base64,...")
	case "data":
	default:
		return nil, invalid("", "invalid_value", "url: must be data:image/png;base64,...")
	}
	head, text, ok := strings.Cut(rest, ",")
	kind, encoded := strings.CutSuffix(strings.ToLower(head), ";base64")
	if !ok || !encoded || !strings.HasPrefix(kind, "image/") {
		return nil, invalid("", "invalid_value", "url: %.64q must be of an image in base64: data:image/png;base64,...", head)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, invalid("", "invalid_value", "url: is not valid base64: %v", err)
	}
	if len(data) == 0 {
		return nil, invalid("", "invalid_value", "url: holds no image")
	}
	return data, nil
}

// show gives the tokens of images their number, and makes the images ready.
func (r *request) show() error {
	for i := range r.prompts {
		p := &r.prompts[i]
		if !p.isText {
			continue // of ids each row of an image has one already, or there is none
		}
		var err error
		if p.ids, _, err = r.model.Info.Expand(p.ids, len(r.images)); err != nil {
			return invalid(r.source(), "invalid_value", "%s: %v", r.source(), err)
		}
	}
	if r.on&generating == 0 {
		return nil
	}
	for i, data := range r.images {
		picture, err := decoded(func() (*runtime.Picture, error) { return runtime.ReadPicture(data, &r.model.Info) })
		if err != nil {
			return invalid(r.source(), "invalid_image", "%s: image %d: %v", r.source(), i, err)
		}
		r.base.Pictures = append(r.base.Pictures, picture)
	}
	r.images = nil
	return nil
}

// decoded has an image decoded when its turn has come.
func decoded[T any](decode func() (T, error)) (T, error) {
	decoding <- struct{}{}
	defer func() { <-decoding }()
	return decode()
}
