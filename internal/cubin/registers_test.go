package cubin

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// elfOf is code of one entry k with so many registers, in the least of an ELF file.
func elfOf(registers uint32) []byte {
	const names = "\x00.nv.info\x00.symtab\x00.strtab\x00"
	le := binary.LittleEndian
	info := append([]byte{3, 0x1b, 1, 0, 4, 0x2f, 8, 0}, 1, 0, 0, 0)
	info = le.AppendUint32(info, registers)
	symbols := make([]byte, 48)
	symbols[24] = 1
	texts := []byte("\x00k\x00")
	parts := [][]byte{make([]byte, 64), []byte(names), info, symbols, texts}
	header := parts[0]
	copy(header, "\x7fELF\x02\x01\x01")
	le.PutUint16(header[58:], sectionHeader)
	le.PutUint16(header[60:], 5)
	le.PutUint16(header[62:], 1)
	at := len(header)
	sections := [][]byte{make([]byte, sectionHeader)}
	for i, name := range []uint32{0, 1, 10, 18} {
		b := make([]byte, sectionHeader)
		le.PutUint32(b, name)
		le.PutUint64(b[24:], uint64(at))
		le.PutUint64(b[32:], uint64(len(parts[i+1])))
		at += len(parts[i+1])
		sections = append(sections, b)
	}
	le.PutUint64(header[40:], uint64(at))
	return bytes.Join(append(parts, sections...), nil)
}

func TestRegisters(t *testing.T) {
	good := elfOf(168)
	if got, err := Registers(good); err != nil || len(got) != 1 || got["k"] != 168 {
		t.Errorf("%v, %v", got, err)
	}
	info := bytes.Index(good, []byte{4, 0x2f, 8})
	for name, c := range map[string]struct {
		at   int
		want string
	}{
		"no ELF file": {1, "no ELF file"}, "sections": {41, "do not lie in it"}, "size of sections": {58, "do not lie in it"}, "names": {62, "for names"},
		"size": {info + 2, "cut off"}, "symbol": {info + 4, "symbol"},
	} {
		bad := bytes.Clone(good)
		bad[c.at] = 0x7f
		if _, err := Registers(bad); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzRegisters reads any bytes: a plan's cubin is nobody's word.
func FuzzRegisters(f *testing.F) {
	f.Add(elfOf(40))
	f.Fuzz(func(t *testing.T, image []byte) { _, _ = Registers(image) })
}
