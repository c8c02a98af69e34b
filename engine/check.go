package engine

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"

	"llmc/internal/dtype"
)

// check validates the header of a file of fileSize bytes: places, sizes, names, kinds. Nothing of the file outside the
// header is read.
func (h *Header) check(fileSize int64) error {
	if len(h.Sections) > maxSections || len(h.Weights) > maxWeights {
		return fmt.Errorf("%w: %d sections and %d weights; at most %d and %d are allowed",
			ErrFormat, len(h.Sections), len(h.Weights), maxSections, maxWeights)
	}
	switch {
	case h.FileSize > fileSize:
		return fmt.Errorf("%w: it has %d bytes and should have %d", ErrTruncated, fileSize, h.FileSize)
	case h.FileSize < fileSize:
		return fmt.Errorf("%w: %d bytes follow its end at byte %d", ErrFormat, fileSize-h.FileSize, h.FileSize)
	}
	if err := h.checkSections(); err != nil {
		return err
	}
	for _, row := range kinds {
		if row.required && !slices.ContainsFunc(h.Sections, func(s Section) bool { return s.Kind == row.kind }) {
			return fmt.Errorf("%w: section %s is missing", ErrFormat, row.kind)
		}
	}
	return h.checkWeights()
}

// checkSections wants sections in order, apart, aligned, inside the file, each once.
func (h *Header) checkSections() error {
	seen := map[string]bool{}
	end := int64(prologueBytes)
	for i := range h.Sections {
		s := &h.Sections[i]
		id := sectionID(s.Kind, s.Name)
		if err := checkName(id); err != nil {
			return fmt.Errorf("%w: section %d: %w", ErrFormat, i, err)
		}
		switch {
		case s.Kind == "":
			return fmt.Errorf("%w: section %d has no kind", ErrFormat, i)
		case seen[id]:
			return fmt.Errorf("%w: section %s occurs twice", ErrFormat, id)
		case len(s.SHA256) != sha256.Size:
			return fmt.Errorf("%w: section %s: hash of %d bytes", ErrFormat, id, len(s.SHA256))
		case s.Offset%SectionAlign != 0:
			return fmt.Errorf("%w: section %s: offset %d is not a multiple of %d", ErrFormat, id, s.Offset, SectionAlign)
		case s.Offset < end:
			return fmt.Errorf("%w: section %s: offset %d is inside what ends at byte %d", ErrFormat, id, s.Offset, end)
		case s.Size < 0 || s.Offset > h.FileSize || s.Size > h.FileSize-s.Offset:
			return fmt.Errorf("%w: section %s: offset %d and size %d go past the end of the file at %d", ErrFormat, id, s.Offset, s.Size, h.FileSize)
		}
		if row := findKind(s.Kind); row != nil {
			if err := row.check(s.Name, s.Size); err != nil {
				return err
			}
		}
		seen[id] = true
		end = s.Offset + s.Size
	}
	return nil
}

// checkWeights wants weights in order, apart, aligned, inside their section, with a size that fits their shape.
func (h *Header) checkWeights() error {
	section := h.find(KindWeights, "")
	seen := make(map[string]bool, len(h.Weights))
	end := int64(0)
	for i := range h.Weights {
		w := &h.Weights[i]
		if err := checkName(w.Name); err != nil {
			return fmt.Errorf("%w: weight %d: %w", ErrFormat, i, err)
		}
		switch {
		case w.Name == "":
			return fmt.Errorf("%w: weight %d has no name", ErrFormat, i)
		case seen[w.Name]:
			return fmt.Errorf("%w: weight %s occurs twice", ErrFormat, w.Name)
		case len(w.SHA256) != sha256.Size:
			return fmt.Errorf("%w: weight %s: hash of %d bytes", ErrFormat, w.Name, len(w.SHA256))
		case w.Bytes <= 0 || w.Bytes > section.Size:
			return fmt.Errorf("%w: weight %s: size of %d bytes in a section of %d", ErrFormat, w.Name, w.Bytes, section.Size)
		case w.Offset < end || w.Offset > section.Size-w.Bytes:
			return fmt.Errorf("%w: weight %s: offset %d overlaps what ends at %d or goes past the section's size %d",
				ErrFormat, w.Name, w.Offset, end, section.Size)
		case w.Offset%weightAlign(w.Bytes) != 0:
			return fmt.Errorf("%w: weight %s: offset %d is not a multiple of %d", ErrFormat, w.Name, w.Offset, weightAlign(w.Bytes))
		}
		if err := w.checkShape(); err != nil {
			return fmt.Errorf("%w: weight %s: %w", ErrFormat, w.Name, err)
		}
		seen[w.Name] = true
		end = w.Offset + w.Bytes
	}
	if end != section.Size {
		return fmt.Errorf("%w: weights end at %d and their section has %d bytes", ErrFormat, end, section.Size)
	}
	return nil
}

// checkShape compares the size in bytes with shape and layout.
func (w *WeightEntry) checkShape() error {
	elements := int64(1)
	for _, d := range w.Shape {
		if d <= 0 || elements > maxFileBytes/d {
			return fmt.Errorf("bad shape %v", w.Shape)
		}
		elements *= d
	}
	if w.Segment < 0 || w.Segment > math.MaxInt32 {
		return fmt.Errorf("segment length %d", w.Segment)
	}
	if w.Layout != "" {
		return w.checkPacked()
	}
	t, err := dtype.Parse(w.DType)
	if err != nil {
		return err
	}
	if t.Size() == 0 || elements*int64(t.Size()) != w.Bytes {
		return fmt.Errorf("%d bytes for %s%v", w.Bytes, w.DType, w.Shape)
	}
	return nil
}

// checkPacked compares the size of a packed matrix with what its layout takes.
func (w *WeightEntry) checkPacked() error {
	if w.DType != "" {
		return fmt.Errorf("layout %s and dtype %s; a packed matrix has no dtype", w.Layout, w.DType)
	}
	packed, err := w.Packed()
	if err != nil {
		return err
	}
	if int64(packed.Bytes()) != w.Bytes {
		return fmt.Errorf("%d bytes; layout %s of %v takes %d", w.Bytes, w.Layout, w.Shape, packed.Bytes())
	}
	return nil
}

// find returns the section, nil when there is none.
func (h *Header) find(kind, name string) *Section {
	for i := range h.Sections {
		if s := &h.Sections[i]; s.Kind == kind && s.Name == name {
			return s
		}
	}
	return nil
}

// weightIndex returns the weights by name.
func (h *Header) weightIndex() map[string]*WeightEntry {
	index := make(map[string]*WeightEntry, len(h.Weights))
	for i := range h.Weights {
		index[h.Weights[i].Name] = &h.Weights[i]
	}
	return index
}
