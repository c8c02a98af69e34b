// Package hardware holds the tests that want a GPU: what the emulator and the reference interpreter say is held against it. Everything is skipped
// where there is none. It has no code of its own.
package hardware
