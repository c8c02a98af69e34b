package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// ImageSettings say what is done to an image before the function "image" reads it: it is resized, the middle is cut out, numbers are scaled and
// normalised, and the result is cut into patches. The model's size is Width by Height, whole patches.
type ImageSettings struct {
	Width  int `msgpack:"width" json:"width"`
	Height int `msgpack:"height" json:"height"`
	Patch  int `msgpack:"patch" json:"patch"` // pixels of a patch, in both directions

	ResizeWidth  int    `msgpack:"resize_width,omitempty" json:"resize_width,omitempty"` // 0, as ResizeHeight: not resized to a size
	ResizeHeight int    `msgpack:"resize_height,omitempty" json:"resize_height,omitempty"`
	ShortestEdge int    `msgpack:"shortest_edge,omitempty" json:"shortest_edge,omitempty"` // resized so that the shorter side has as many pixels; 0: not
	Filter       string `msgpack:"filter,omitempty" json:"filter,omitempty"`
	CropWidth    int    `msgpack:"crop_width,omitempty" json:"crop_width,omitempty"` // 0, as CropHeight: not cropped
	CropHeight   int    `msgpack:"crop_height,omitempty" json:"crop_height,omitempty"`

	Rescale float64   `msgpack:"rescale,omitempty" json:"rescale,omitempty"` // pixels of 0 to 255 are multiplied with it; 0: not
	Mean    []float64 `msgpack:"mean,omitempty" json:"mean,omitempty"`       // of red, green and blue; empty, as Std: not normalised
	Std     []float64 `msgpack:"std,omitempty" json:"std,omitempty"`
	Class   bool      `msgpack:"class,omitempty" json:"class,omitempty"` // a row of the model's own comes before those of the patches
}

// ImageFilters are the ways to resize, in the order of their numbers in preprocessor_config.json.
var ImageFilters = []string{"nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"}

// maxImageSide bounds what a model reads, and what an image is resized to.
const maxImageSide = 1 << 13

// ImageChannels is the number of colours that models read.
const ImageChannels = 3

// Rows is how many rows the function has for an image.
func (s *ImageSettings) Rows() int {
	rows := s.Width / s.Patch * (s.Height / s.Patch)
	if s.Class {
		rows++
	}
	return rows
}

// Columns is the width of the rows of patches: their pixels, channel by channel.
func (s *ImageSettings) Columns() int { return ImageChannels * s.Patch * s.Patch }

// Types are those of the first n rows: 1 for the model's own, which comes first, nil where it has none.
func (s *ImageSettings) Types(n int) []int32 {
	if !s.Class {
		return nil
	}
	types := make([]int32, n)
	types[0] = 1
	return types
}

// RandomRows makes up n rows, [n, Columns()], the model's own being zero.
func (s *ImageSettings) RandomRows(n int, random *rand.Rand) []float32 {
	rows := make([]float32, n*s.Columns())
	made := rows
	if s.Class {
		made = rows[s.Columns():]
	}
	for i := range made {
		made[i] = float32(random.NormFloat64())
	}
	return rows
}

// Check refuses settings that no image could be prepared by.
func (s *ImageSettings) Check() error {
	sides := []struct {
		name       string
		value, low int
	}{
		{"width", s.Width, 1}, {"height", s.Height, 1}, {"patch", s.Patch, 1}, {"resize_width", s.ResizeWidth, 0}, {"resize_height", s.ResizeHeight, 0},
		{"shortest_edge", s.ShortestEdge, 0}, {"crop_width", s.CropWidth, 0}, {"crop_height", s.CropHeight, 0},
	}
	for _, side := range sides {
		if side.value < side.low || side.value > maxImageSide {
			return fmt.Errorf("image: %s is %d, outside %d to %d", side.name, side.value, side.low, maxImageSide)
		}
	}
	resized := s.ResizeWidth > 0
	switch {
	case s.Width%s.Patch != 0 || s.Height%s.Patch != 0:
		return fmt.Errorf("image: %d by %d pixels are no whole patches of %d", s.Width, s.Height, s.Patch)
	case resized != (s.ResizeHeight > 0) || (s.CropWidth > 0) != (s.CropHeight > 0):
		return fmt.Errorf("image: a size has a width and a height")
	case resized && s.ShortestEdge > 0:
		return fmt.Errorf("image: resized both to a size and by its shortest edge")
	case s.CropWidth > 0 && (s.CropWidth != s.Width || s.CropHeight != s.Height):
		return fmt.Errorf("image: cropped to %d by %d pixels, the model reads %d by %d", s.CropWidth, s.CropHeight, s.Width, s.Height)
	case s.CropWidth == 0 && resized && (s.ResizeWidth != s.Width || s.ResizeHeight != s.Height):
		return fmt.Errorf("image: resized to %d by %d pixels, the model reads %d by %d", s.ResizeWidth, s.ResizeHeight, s.Width, s.Height)
	case (resized || s.ShortestEdge > 0) && !slices.Contains(ImageFilters, s.Filter):
		return fmt.Errorf("image: there is no filter %q to resize with", s.Filter)
	case !finite(s.Rescale) || s.Rescale < 0:
		return fmt.Errorf("image: rescaled by %v", s.Rescale)
	}
	return s.checkNormal()
}

func (s *ImageSettings) checkNormal() error {
	if len(s.Mean) != len(s.Std) || len(s.Mean) != 0 && len(s.Mean) != ImageChannels {
		return fmt.Errorf("image: %d means and %d deviations of %d channels", len(s.Mean), len(s.Std), ImageChannels)
	}
	for i, std := range s.Std {
		if !finite(s.Mean[i]) || !finite(std) || float32(std) == 0 {
			return fmt.Errorf("image: channel %d has mean %v and deviation %v", i, s.Mean[i], std)
		}
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
