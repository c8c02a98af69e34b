package cubin

import (
	"bytes"
	"debug/elf"
	"fmt"
	"strings"
)

// Registers reads off assembled code how many registers a thread of each entry has. Code of an entry NAME is section .text.NAME, whose sh_info has the
// number in its upper eight bits and the entry's symbol below ("CUDA Binary Utilities" does not say so; every release from 11.8 to 13.5 writes it,
// and ptxas -v agrees).
func Registers(image []byte) (map[string]int, error) {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return nil, fmt.Errorf("code of %d bytes is no ELF file: %w", len(image), err)
	}
	registers := map[string]int{}
	for _, s := range f.Sections {
		if entry, ok := strings.CutPrefix(s.Name, ".text."); ok {
			registers[entry] = int(s.Info >> 24)
		}
	}
	return registers, nil
}
