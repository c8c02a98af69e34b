package pixels

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/webp"
)

// Limits of an image file. The decoder of a progressive JPEG takes up to 16 bytes for each pixel.
const (
	MaxBytes  = 64 << 20
	MaxPixels = 1 << 26
)

// What can be wrong with an image. Errors of this package wrap one of these.
var (
	ErrFormat   = errors.New("not an image that is understood")
	ErrDamaged  = errors.New("image is damaged")
	ErrTooLarge = errors.New("image is too large")
	ErrSize     = errors.New("image has the wrong size")
)

// RGB is an image of 8 bits a channel, three channels a pixel, rows from the top.
type RGB struct {
	Width, Height int
	Pix           []uint8
}

func newRGB(width, height int) *RGB { return &RGB{width, height, make([]uint8, 3*width*height)} }

// row returns the pixels of a row.
func (m *RGB) row(y int) []uint8 { return m.Pix[3*y*m.Width : 3*(y+1)*m.Width] }

// formats are the kinds of files, by how they begin; '?' stands for any byte.
var formats = []struct {
	name, magic string
	config      func(io.Reader) (image.Config, error)
	decode      func(io.Reader) (image.Image, error)
	chroma      chroma // how its planes become RGB
}{
	{"PNG", "\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode, chroma{}},
	{"JPEG", "\xff\xd8\xff", jpeg.DecodeConfig, jpeg.Decode, jpegChroma},
	{"WebP", "RIFF????WEBP", webp.DecodeConfig, webp.Decode, webpChroma},
}

// Decode reads a PNG, JPEG or WebP file and converts it to RGB: an alpha channel is dropped, gray is repeated, a palette looked up, as
// convert("RGB") does. How EXIF data says that the image is to be turned is left alone.
func Decode(data []byte) (*RGB, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read; make it smaller", ErrTooLarge, len(data), MaxBytes)
	}
	for i := range formats {
		f := &formats[i]
		if !begins(data, f.magic) {
			continue
		}
		config, err := f.config(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, f.name, err)
		}
		if err := checkSize(config.Width, config.Height); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		img, err := f.decode(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, f.name, err)
		}
		if size := img.Bounds().Size(); size.X != config.Width || size.Y != config.Height {
			return nil, fmt.Errorf("%w: %s: its header says %dx%d, its pixels are %dx%d", ErrDamaged, f.name, config.Width, config.Height, size.X, size.Y)
		}
		return toRGB(img, &f.chroma)
	}
	return nil, fmt.Errorf("%w: it begins with %q; give a PNG, JPEG or WebP file", ErrFormat, data[:min(len(data), 12)])
}

func begins(data []byte, magic string) bool {
	if len(data) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != data[i] {
			return false
		}
	}
	return true
}

// checkSize refuses images of no pixels and of too many.
func checkSize(width, height int) error {
	if width < 1 || height < 1 {
		return fmt.Errorf("%w: %d by %d pixels", ErrDamaged, width, height)
	}
	if width > MaxPixels/height {
		return fmt.Errorf("%w: %d by %d pixels, at most %d are taken; make it smaller", ErrTooLarge, width, height, MaxPixels)
	}
	return nil
}
