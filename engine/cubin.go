package engine

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"regexp"
)

// Cubin is the PTX of a target as NVIDIA's assembler made code of it, so that a driver of the same major version of CUDA need not compile.
// The PTX is always there too, and says the same.
type Cubin struct {
	Arch      string `msgpack:"arch"`      // "sm_90a": "a" runs on that GPU alone, others on the same major capability from their minor one on
	Assembler string `msgpack:"assembler"` // the build of ptxas: "12.2.140"
	PTX       []byte `msgpack:"ptx"`       // SHA-256 of the text
	Image     []byte `msgpack:"image"`     // ELF
}

// CubinContent returns the section of a target's cubin.
func CubinContent(target string, c *Cubin) (Content, error) {
	return encodeContent(KindCubin, target, c)
}

// Cubin returns the assembled code of a target; ErrNotFound where the build was not asked for it.
func (p *Plan) Cubin(target string) (*Cubin, error) {
	data, err := p.Section(KindCubin, target)
	if err != nil {
		return nil, err
	}
	c, err := decodeCubin(target, data, &p.header)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.path, err)
	}
	return c, nil
}

var (
	cubinArch      = regexp.MustCompile(`^sm_[1-9][0-9]{1,2}[af]?$`)
	cubinAssembler = regexp.MustCompile(`^[0-9]{1,4}(\.[0-9]{1,6}){1,3}$`)
)

// decodeCubin wants code for a GPU that was made of the PTX in the plan. What is in the code is the driver's to judge.
func decodeCubin(target string, data []byte, h *Header) (*Cubin, error) {
	var c Cubin
	id := sectionID(KindCubin, target)
	if err := unmarshal(data, &c, false); err != nil {
		return nil, fmt.Errorf("%w: section %s: %w", ErrFormat, id, err)
	}
	text := h.find(KindPTX, target)
	switch {
	case !cubinArch.MatchString(c.Arch) || !cubinAssembler.MatchString(c.Assembler):
		return nil, fmt.Errorf("%w: section %s: code for %.40q by ptxas %.40q", ErrFormat, id, c.Arch, c.Assembler)
	case text == nil || !bytes.Equal(c.PTX, text.SHA256):
		return nil, fmt.Errorf("%w: section %s is not made of section %s; build the plan again", ErrFormat, id, sectionID(KindPTX, target))
	case !bytes.HasPrefix(c.Image, []byte(elf.ELFMAG)):
		return nil, fmt.Errorf("%w: section %s: %d bytes that do not begin as an ELF file", ErrFormat, id, len(c.Image))
	}
	return &c, nil
}

// SumPTX is what a cubin remembers of the text that it was made of.
func SumPTX(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}
