package engine

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// Part is a plan whose bytes are those of another one: all of it, or what some of its targets need. Only its head is its own.
type Part struct {
	Header Header
	Digest string // of the plan that the part is
	Head   []byte // prologue, header and zeros, up to the first section
	// Pieces follow the head and each other without gaps.
	Pieces []Piece
}

// Piece is a section, or a run of weights that begins on a page, and the zeros behind it: Size bytes that the other plan's file has at Source. Both are multiples
// of SectionAlign, so that a piece can stand anywhere.
type Piece struct {
	Kind, Name   string // of a section; a piece of weights has the name of its first
	Size, Source int64

	first, end int // of KindWeights: which weights
}

// Whole returns the plan as a part of itself.
func (p *Plan) Whole() (*Part, error) {
	part := &Part{Header: p.header, Digest: p.Digest(), Head: make([]byte, p.header.Sections[0].Offset)}
	if _, err := p.file.ReadAt(part.Head, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", p.path, err)
	}
	for i := range p.header.Sections {
		s := &p.header.Sections[i]
		if s.Kind == KindWeights && len(p.header.Weights) > 0 {
			part.Pieces = append(part.Pieces, p.units()...)
		} else {
			part.Pieces = append(part.Pieces, Piece{Kind: s.Kind, Name: s.Name, Source: s.Offset})
		}
	}
	end := p.header.FileSize
	for i := len(part.Pieces) - 1; i >= 0; i-- {
		part.Pieces[i].Size = end - part.Pieces[i].Source
		end = part.Pieces[i].Source
	}
	return part, nil
}

// units divides the weights into runs that begin on a page. Their sizes are not set.
func (p *Plan) units() []Piece {
	var units []Piece
	for i := range p.header.Weights {
		w := &p.header.Weights[i]
		if i == 0 {
			units = append(units, Piece{Kind: KindWeights, Name: w.Name, Source: p.base})
		} else if w.Offset%SectionAlign == 0 {
			units = append(units, Piece{Kind: KindWeights, Name: w.Name, Source: p.base + w.Offset, first: i})
		}
		units[len(units)-1].end = i + 1
	}
	return units
}

// Only returns the plan with the programs, the code and the weights of some targets. Everything else that the plan holds stays.
func (p *Plan) Only(targets ...string) (*Part, error) {
	whole, err := p.Whole()
	if err != nil {
		return nil, err
	}
	idle, err := p.readByOthers(targets)
	if err != nil {
		return nil, err
	}
	part := &Part{Header: Header{Major: p.header.Major, Minor: p.header.Minor}}
	for _, piece := range whole.Pieces {
		drop := false
		if piece.Kind == KindWeights {
			drop = !slices.ContainsFunc(p.header.Weights[piece.first:piece.end], func(w WeightEntry) bool { return !idle[w.Name] })
		} else if of := targetOf(piece.Kind, piece.Name); of != "" {
			drop = !slices.Contains(targets, of)
		}
		if !drop {
			part.Pieces = append(part.Pieces, piece)
		}
	}
	part.describe(p)
	room, err := headerRoom(part.Header, nil)
	if err != nil {
		return nil, err
	}
	part.place(roundUp(prologueBytes+room, SectionAlign))
	return part, part.finish()
}

// targetOf is the target that a section is for, "" where it is for all.
func targetOf(kind, name string) string {
	switch kind {
	case KindProgram, KindIR:
		_, target, _ := strings.Cut(name, "/")
		return target
	case KindPTX, KindCubin:
		return name
	case KindCardsProgram:
		of, _, _ := splitCards(name)
		_, target, _ := strings.Cut(of, "/")
		return target
	case KindCardsPTX:
		target, _, _ := splitCards(name)
		return target
	}
	return ""
}

// readByOthers tells which weights are read by programs of other targets and by none of these.
func (p *Plan) readByOthers(targets []string) (map[string]bool, error) {
	var wanted []string
	idle := map[string]bool{}
	for _, name := range p.Names(KindProgram) {
		function, target, _ := strings.Cut(name, "/")
		program, err := p.Program(function, target)
		if err != nil {
			return nil, err
		}
		if slices.Contains(targets, target) {
			wanted = append(wanted, program.Weights...)
			continue
		}
		for _, w := range program.Weights {
			idle[w] = true
		}
	}
	for _, w := range wanted {
		delete(idle, w)
	}
	return idle, nil
}

// describe lists the sections and weights of the pieces, with offsets of weights inside their section, and none of sections.
func (part *Part) describe(p *Plan) {
	h, at := &part.Header, int64(0)
	sums := sha256.New()
	for _, piece := range part.Pieces {
		if piece.Kind != KindWeights || piece.first == piece.end || at == 0 {
			s := *p.header.find(piece.Kind, sectionName(&piece))
			s.Offset = 0
			h.Sections = append(h.Sections, s)
		}
		if piece.Kind != KindWeights {
			continue
		}
		for _, w := range p.header.Weights[piece.first:piece.end] {
			w.Offset += p.base + at - piece.Source
			sums.Write(w.SHA256)
			h.Weights = append(h.Weights, w)
			h.find(KindWeights, "").Size = w.Offset + w.Bytes
		}
		at += piece.Size
	}
	h.find(KindWeights, "").SHA256 = sums.Sum(nil)
}

func sectionName(piece *Piece) string {
	if piece.Kind == KindWeights {
		return ""
	}
	return piece.Name
}

// place gives the sections their offsets, from at on.
func (part *Part) place(at int64) {
	next := 0
	for _, piece := range part.Pieces {
		if piece.Kind != KindWeights || next == 0 || part.Header.Sections[next-1].Kind != KindWeights {
			part.Header.Sections[next].Offset = at
			next++
		}
		at += piece.Size
	}
	part.Header.FileSize = at
}

// finish encodes the head.
func (part *Part) finish() error {
	if err := part.Header.check(part.Header.FileSize); err != nil {
		return err
	}
	header, err := marshal(&part.Header)
	if err != nil {
		return fmt.Errorf("encode header: %w", err)
	}
	pro := prologue{major: uint16(part.Header.Major), minor: uint16(part.Header.Minor), headerBytes: uint32(len(header)), headerSum: sha256.Sum256(header)}
	part.Digest = digestText(pro.headerSum)
	part.Head = make([]byte, part.Header.Sections[0].Offset)
	copy(part.Head[copy(part.Head, pro.encode()):], header)
	return nil
}

// Covers tells whether the part has all that the plan has.
func (part *Part) Covers(p *Plan) bool {
	return len(part.Header.Sections) == len(p.header.Sections) && len(part.Header.Weights) == len(p.header.Weights)
}

// ReadAt reads bytes of the plan's file as they lie there.
func (p *Plan) ReadAt(to []byte, at int64) (int, error) { return p.file.ReadAt(to, at) }
