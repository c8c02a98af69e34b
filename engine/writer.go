package engine

import (
	"crypto/sha256"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sync"
)

// Spec is what a plan will hold. Everything but the bytes of weights is there before writing begins, so that every
// weight has its place and threads can write them in any order.
type Spec struct {
	Sections []Content
	// Weights are in the order of the file; Offset and SHA256 are filled in by the writer.
	Weights []WeightEntry
	// Late lists unnamed kinds whose contents come after the weights are written (the accuracy report); see Writer.WriteLate.
	Late []string
}

// Writer writes a plan to a temporary file that gets the plan's name only when it is complete. Methods may be called
// by several goroutines; Rewrite, WriteLate, Preview, Finish and Abort by one.
type Writer struct {
	path   string
	file   planFile
	header Header
	weight []*WeightWriter
	late   []string // kinds not yet written
	base   int64    // offset of the weights section
	end    int64    // where the next late section goes
	room   int64    // bytes for the header

	mu     sync.Mutex
	closed bool
}

// NewWriter lays out the plan, reserves the disk space, and writes all sections of spec. The caller must end with Finish or Abort.
func NewWriter(path string, spec Spec) (*Writer, error) {
	return newWriter(path, spec, createPlanFile)
}

func newWriter(path string, spec Spec, create func(path string, size int64) (planFile, error)) (*Writer, error) {
	w := &Writer{path: path, late: slices.Clone(spec.Late)}
	if err := w.layout(spec); err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	file, err := create(path, w.end)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	w.file = file
	for i, c := range spec.Sections {
		if err := w.writeAt(c.Data, w.header.Sections[i].Offset); err != nil {
			w.Abort()
			return nil, err
		}
	}
	return w, nil
}

// layout gives every section and weight its place.
func (w *Writer) layout(spec Spec) error {
	w.header = Header{Major: FormatMajor, Minor: FormatMinor, Weights: slices.Clone(spec.Weights)}
	for _, c := range spec.Sections {
		sum := sha256.Sum256(c.Data)
		w.header.Sections = append(w.header.Sections, Section{Kind: c.Kind, Name: c.Name, Size: int64(len(c.Data)), SHA256: sum[:]})
	}
	weights, err := placeWeights(w.header.Weights)
	if err != nil {
		return err
	}
	w.header.Sections = append(w.header.Sections, Section{Kind: KindWeights, Size: weights, SHA256: make([]byte, sha256.Size)})
	if w.room, err = headerRoom(w.header, spec.Late); err != nil {
		return err
	}
	at := roundUp(prologueBytes+w.room, SectionAlign)
	for i := range w.header.Sections {
		s := &w.header.Sections[i]
		s.Offset = at
		at = roundUp(at+s.Size, SectionAlign)
		if s.Kind == KindWeights {
			w.base = s.Offset
		}
	}
	w.end = at
	w.header.FileSize = at
	w.weight = make([]*WeightWriter, len(w.header.Weights))
	for i := range w.weight {
		w.weight[i] = &WeightWriter{w: w, entry: &w.header.Weights[i], hash: sha256.New()}
	}
	return w.checkLayout(spec)
}

// placeWeights fills in offsets and returns the size of the weights section.
func placeWeights(weights []WeightEntry) (int64, error) {
	at := int64(0)
	for i := range weights {
		e := &weights[i]
		if e.Bytes <= 0 || e.Bytes > maxFileBytes {
			return 0, fmt.Errorf("weight %s: size of %d bytes", e.Name, e.Bytes)
		}
		e.Offset = roundUp(at, weightAlign(e.Bytes))
		e.SHA256 = make([]byte, sha256.Size)
		at = e.Offset + e.Bytes
	}
	return at, nil
}

// headerRoom returns the most bytes that the header can take once all numbers are known.
func headerRoom(h Header, late []string) (int64, error) {
	h.FileSize = math.MaxInt64
	h.Sections = slices.Clone(h.Sections)
	for _, kind := range late {
		h.Sections = append(h.Sections, Section{Kind: kind, SHA256: make([]byte, sha256.Size)})
	}
	for i := range h.Sections {
		h.Sections[i].Offset, h.Sections[i].Size = math.MaxInt64, math.MaxInt64
	}
	b, err := marshal(&h)
	if err != nil {
		return 0, fmt.Errorf("encode header: %w", err)
	}
	if len(b) > maxHeaderBytes {
		return 0, fmt.Errorf("header of %d bytes; at most %d are allowed", len(b), maxHeaderBytes)
	}
	return int64(len(b)), nil
}

// checkLayout holds what is about to be written to the reader's own rules.
func (w *Writer) checkLayout(spec Spec) error {
	if err := w.header.check(w.end); err != nil {
		return err
	}
	if err := checkContents(spec, &w.header); err != nil {
		return err
	}
	for _, kind := range spec.Late {
		row := findKind(kind)
		if row == nil || row.many || row.required || row.loaded {
			return fmt.Errorf("section %s can not be written late", kind)
		}
	}
	return nil
}

func checkContents(spec Spec, h *Header) error {
	weights := h.weightIndex()
	var info ModelInfo
	for _, c := range spec.Sections {
		if c.Kind == KindInfo {
			if err := unmarshal(c.Data, &info, true); err != nil {
				return fmt.Errorf("section %s: %w", c.Kind, err)
			}
		}
	}
	if err := info.check(); err != nil {
		return err
	}
	for _, c := range spec.Sections {
		var err error
		switch c.Kind {
		case KindProgram, KindCardsProgram:
			_, err = decodeProgram(c.Name, c.Data, weights, &info)
		case KindCubin:
			_, err = decodeCubin(c.Name, c.Data, h)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Rewrite gives a section of the spec other contents of the same size: what only the end of a build tells.
func (w *Writer) Rewrite(c Content) error {
	i := slices.IndexFunc(w.header.Sections, func(s Section) bool { return s.Kind == c.Kind && s.Name == c.Name })
	if i < 0 {
		return fmt.Errorf("section %s was not written, so it can not be written again", c.Kind)
	}
	if row := findKind(c.Kind); row.required || row.loaded { // what NewWriter has checked
		return fmt.Errorf("section %s can not be written again", c.Kind)
	}
	s := &w.header.Sections[i]
	if s.Size != int64(len(c.Data)) {
		return fmt.Errorf("section %s: %d bytes in place of %d", c.Kind, len(c.Data), s.Size)
	}
	sum := sha256.Sum256(c.Data)
	s.SHA256 = sum[:]
	return w.writeAt(c.Data, s.Offset)
}

// writeAt writes b at a place that is free.
func (w *Writer) writeAt(b []byte, at int64) error {
	if _, err := w.file.WriteAt(b, at); err != nil {
		return fmt.Errorf("write %s: %w", w.path, err)
	}
	return nil
}

// Weight returns the writer of the i-th weight of the spec.
func (w *Writer) Weight(i int) *WeightWriter { return w.weight[i] }

// WriteLate writes a section that Spec.Late announced.
func (w *Writer) WriteLate(kind string, data []byte) error {
	i := slices.Index(w.late, kind)
	if i < 0 {
		return fmt.Errorf("section %s was not announced as late, or is already written", kind)
	}
	if err := findKind(kind).check("", int64(len(data))); err != nil {
		return err
	}
	if err := w.writeAt(data, w.end); err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	w.header.Sections = append(w.header.Sections, Section{Kind: kind, Offset: w.end, Size: int64(len(data)), SHA256: sum[:]})
	w.late = slices.Delete(w.late, i, i+1)
	w.end = roundUp(w.end+int64(len(data)), SectionAlign)
	w.header.FileSize = w.end
	return nil
}

// Preview writes the header of what is there so far, without late sections, and returns a path under which Open
// accepts the unfinished plan: the build measures a plan before it has its final name. The path is good until Finish or Abort.
func (w *Writer) Preview() (string, error) {
	if _, err := w.writeHeader(); err != nil {
		return "", err
	}
	return w.file.Path(), nil
}

// writeHeader completes the hashes and writes prologue and header.
func (w *Writer) writeHeader() (digest string, err error) {
	sums := sha256.New()
	for _, ww := range w.weight {
		if err := ww.finish(); err != nil {
			return "", err
		}
		sums.Write(ww.entry.SHA256)
	}
	for i := range w.header.Sections {
		if s := &w.header.Sections[i]; s.Kind == KindWeights {
			s.SHA256 = sums.Sum(nil)
		}
	}
	header, err := marshal(&w.header)
	if err != nil {
		return "", fmt.Errorf("encode header: %w", err)
	}
	if int64(len(header)) > w.room {
		return "", fmt.Errorf("header has %d bytes and %d were planned", len(header), w.room)
	}
	if err := w.file.Truncate(w.end); err != nil {
		return "", fmt.Errorf("write %s: %w", w.path, err)
	}
	p := prologue{major: FormatMajor, minor: FormatMinor, headerBytes: uint32(len(header)), headerSum: sha256.Sum256(header)}
	// A late section makes the header grow, never shrink, so nothing of an earlier header remains behind it.
	if err := w.writeAt(append(p.encode(), header...), 0); err != nil {
		return "", err
	}
	return digestText(p.headerSum), nil
}

// Finish writes the header, makes the file durable and gives it its name. Every weight must be written. It returns the
// plan's digest. When it fails nothing is left behind, and a plan that had the name before is untouched.
func (w *Writer) Finish() (digest string, err error) {
	defer func() {
		if err != nil {
			w.Abort()
		}
	}()
	if len(w.late) > 0 {
		return "", fmt.Errorf("write %s: section %s is missing", w.path, w.late[0])
	}
	if digest, err = w.writeHeader(); err != nil {
		return "", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return "", fmt.Errorf("write %s: already closed", w.path)
	}
	if err := w.file.Commit(w.path); err != nil {
		return "", fmt.Errorf("write %s: %w", w.path, err)
	}
	w.closed = true
	return digest, syncDir(filepath.Dir(w.path))
}

// Abort removes what was written. It does nothing after Finish.
func (w *Writer) Abort() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		w.file.Discard()
	}
}
