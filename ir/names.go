package ir

// maxName bounds names, in bytes.
const maxName = 255

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-' || c == '/'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// validName tells whether name can stand in the text form: letters, digits and _ . - /, not digits alone.
func validName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	digits := true
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return false
		}
		digits = digits && isDigit(name[i])
	}
	return !digits
}
