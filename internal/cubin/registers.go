package cubin

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Registers reads off assembled code how many registers a thread of each entry has when it starts.
//
// Section .nv.info is a list of attributes: a byte for the form of the value, a byte that says what it is, two that are the value or, for form 4, its size.
// Attribute 0x2f has the index of an entry's symbol and its registers, four bytes each. No document says so, but ptxas 12.2 to 13.5 write it, and
// a test compares it with what they print.
func Registers(image []byte) (map[string]int, error) {
	f, err := readELF(image)
	if err != nil {
		return nil, fmt.Errorf("code of %d bytes: %w", len(image), err)
	}
	info, symbols, names := f.section(".nv.info"), f.section(".symtab"), f.section(".strtab")
	const (
		sized, registerCount   = 4, 0x2f
		symbolBytes, pairBytes = 24, 8
	)
	le := binary.LittleEndian
	registers := map[string]int{}
	for len(info) >= 4 {
		form, kind, size := info[0], info[1], 0
		if form == sized {
			size = int(le.Uint16(info[2:]))
		}
		info = info[4:]
		if size > len(info) {
			return nil, fmt.Errorf("code of %d bytes: section .nv.info is cut off", len(image))
		}
		if kind == registerCount && size == pairBytes {
			index := uint64(le.Uint32(info))
			if index >= uint64(len(symbols))/symbolBytes {
				return nil, fmt.Errorf("code of %d bytes: section .nv.info names symbol %d, which is not there", len(image), index)
			}
			registers[textAt(names, le.Uint32(symbols[index*symbolBytes:]))] = int(le.Uint32(info[4:]) & 0xffff)
		}
		info = info[size:]
	}
	return registers, nil
}

// elfFile is what is wanted of an ELF file of 64 bits ("System V Application Binary Interface", Object Files). Package debug/elf does not read what
// assemblers before 13 write: their e_version is not 1.
type elfFile struct {
	image, names []byte
	headers      []byte // of sections
}

const sectionHeader = 64 // bytes

func readELF(image []byte) (*elfFile, error) {
	const header, sections, sectionSize, count, namesAt = 64, 40, 58, 60, 62
	le := binary.LittleEndian
	if len(image) < header || !bytes.HasPrefix(image, []byte("\x7fELF\x02\x01")) {
		return nil, fmt.Errorf("it is no ELF file of 64 bits")
	}
	first, n := le.Uint64(image[sections:]), uint64(le.Uint16(image[count:]))
	if le.Uint16(image[sectionSize:]) != sectionHeader || first > uint64(len(image)) || n > (uint64(len(image))-first)/sectionHeader {
		return nil, fmt.Errorf("%d sections at %d do not lie in it", n, first)
	}
	f := &elfFile{image: image, headers: image[first : first+n*sectionHeader]}
	number := uint64(le.Uint16(image[namesAt:]))
	if number >= n {
		return nil, fmt.Errorf("there is no section %d for names", number)
	}
	f.names = f.data(f.headers[number*sectionHeader:])
	return f, nil
}

// section is the data of a section, nothing where there is none.
func (f *elfFile) section(name string) []byte {
	for at := 0; at < len(f.headers); at += sectionHeader {
		if h := f.headers[at:]; textAt(f.names, binary.LittleEndian.Uint32(h)) == name {
			return f.data(h)
		}
	}
	return nil
}

func (f *elfFile) data(header []byte) []byte {
	const offset, bytes = 24, 32
	at, size := binary.LittleEndian.Uint64(header[offset:]), binary.LittleEndian.Uint64(header[bytes:])
	if at > uint64(len(f.image)) || size > uint64(len(f.image))-at {
		return nil
	}
	return f.image[at : at+size]
}

// textAt is a text that ends with a zero.
func textAt(texts []byte, at uint32) string {
	if uint64(at) >= uint64(len(texts)) {
		return ""
	}
	text, _, _ := bytes.Cut(texts[at:], []byte{0})
	return string(text)
}
