package engine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Open maps a plan and checks everything but the weights' numbers: versions, hashes of the header and of all sections
// that serving uses, every offset and size. Weight data is not read. Programs are validated when Program returns them.
func Open(path string) (*Plan, error) {
	p, err := open(path)
	if err != nil {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) { // already names the file
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func open(path string) (*Plan, error) {
	// Looked at before opening, which would wait for the other end of a named pipe.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: it is not a regular file", ErrNotPlan)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	p := &Plan{path: path, file: file}
	if err := p.load(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Plan) load() error {
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	if err := p.readHeader(info.Size()); err != nil {
		return err
	}
	if err := p.header.check(info.Size()); err != nil {
		return err
	}
	p.weights = p.header.weightIndex()
	sums := sha256.New()
	for i := range p.header.Weights {
		sums.Write(p.header.Weights[i].SHA256)
	}
	section := p.header.find(KindWeights, "")
	if string(sums.Sum(nil)) != string(section.SHA256) {
		return fmt.Errorf("%w: the hashes of the weights do not give the hash of their section", ErrChecksum)
	}
	p.base = section.Offset
	if err := p.loadSections(); err != nil {
		return err
	}
	p.mapped, err = mapFile(p.file, info.Size())
	return err
}

// readHeader reads prologue and header and decodes the header once its hash is right.
func (p *Plan) readHeader(fileSize int64) error {
	first := make([]byte, min(prologueBytes, fileSize))
	if _, err := p.file.ReadAt(first, 0); err != nil {
		return err
	}
	pro, err := decodePrologue(first)
	if err != nil {
		return err
	}
	if int64(pro.headerBytes) > fileSize-prologueBytes {
		return fmt.Errorf("%w: it has %d bytes, its header alone %d", ErrTruncated, fileSize, pro.headerBytes)
	}
	p.headerBytes = int64(pro.headerBytes)
	data := make([]byte, pro.headerBytes)
	if _, err := p.file.ReadAt(data, prologueBytes); err != nil {
		return err
	}
	if p.digest = sha256.Sum256(data); p.digest != pro.headerSum {
		return fmt.Errorf("%w: the header's hash is not the one at byte 16; fetch or build the plan again", ErrChecksum)
	}
	if err := unmarshal(data, &p.header, false); err != nil {
		return fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	if p.header.Major != int(pro.major) || p.header.Minor != int(pro.minor) {
		return fmt.Errorf("%w: version %d.%d at byte 8 and %d.%d in the header", ErrFormat, pro.major, pro.minor, p.header.Major, p.header.Minor)
	}
	if end := prologueBytes + int64(pro.headerBytes); len(p.header.Sections) > 0 && p.header.Sections[0].Offset < end {
		return fmt.Errorf("%w: section %s begins at byte %d, inside the header that ends at %d",
			ErrFormat, p.header.Sections[0].Kind, p.header.Sections[0].Offset, end)
	}
	return nil
}

// loadSections reads and checks the sections that serving uses.
func (p *Plan) loadSections() error {
	p.loaded = map[string][]byte{}
	var total int64
	for i := range p.header.Sections {
		s := &p.header.Sections[i]
		if row := findKind(s.Kind); row == nil || !row.loaded {
			continue
		}
		if total += s.Size; total > maxLoadedBytes {
			return fmt.Errorf("%w: the sections up to %s have more than %d bytes", ErrFormat, sectionID(s.Kind, s.Name), maxLoadedBytes)
		}
		data, err := p.readSection(s)
		if err != nil {
			return err
		}
		p.loaded[sectionID(s.Kind, s.Name)] = data
	}
	if err := unmarshal(p.loaded[KindInfo], &p.info, false); err != nil {
		return fmt.Errorf("%w: section %s: %w", ErrFormat, KindInfo, err)
	}
	if err := p.info.check(); err != nil {
		return fmt.Errorf("%w: section %s: %w", ErrFormat, KindInfo, err)
	}
	return nil
}

// readSection reads a section into memory and checks its hash. What is parsed is a private copy, not the mapping, so
// that it can not change after the check.
func (p *Plan) readSection(s *Section) ([]byte, error) {
	data := make([]byte, s.Size)
	if _, err := io.ReadFull(io.NewSectionReader(p.file, s.Offset, s.Size), data); err != nil {
		return nil, fmt.Errorf("section %s: %w", sectionID(s.Kind, s.Name), err)
	}
	if sum := sha256.Sum256(data); string(sum[:]) != string(s.SHA256) {
		return nil, fmt.Errorf("%w: section %s (%d bytes at byte %d) does not have the hash that the header gives; fetch or build the plan again",
			ErrChecksum, sectionID(s.Kind, s.Name), s.Size, s.Offset)
	}
	return data, nil
}
