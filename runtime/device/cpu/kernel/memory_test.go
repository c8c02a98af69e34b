package kernel

import "unsafe"

// atByte views the bytes at b[i:] as a T.
func atByte[T any](b []byte, i int) *T {
	return (*T)(unsafe.Pointer(&b[i : i+int(unsafe.Sizeof(*new(T)))][0]))
}
