package hub

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a server may list. The largest public repositories have some thousand files and some terabytes.
const (
	maxFiles      = 100_000
	maxFileBytes  = 2 << 40
	maxTotalBytes = 16 << 40
	maxName       = 1024
	maxComponent  = 250 // file systems take 255; a name gets a suffix while it is made
)

// checkName returns an error unless a name with slashes stays below the directory that it is joined to, whatever the system, and prints on one line.
func checkName(name string) error {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) {
		return errors.New("is empty, too long or not UTF-8")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == '\\' || r == ':' || r == 0x2028 || r == 0x2029 }) {
		return errors.New("has characters that names of files must not have")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." || len(part) > maxComponent {
			return errors.New("leads out of the directory, or has an empty or overlong part")
		}
	}
	return nil
}
