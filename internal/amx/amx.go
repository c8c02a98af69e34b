// Package amx knows whether this process may use the tiles of Intel's AMX: the operating system gives them to processes that ask.
package amx

import "golang.org/x/sys/cpu"

// Usable tells whether tiles can be used: the processor has them and the operating system lets this process.
var Usable = cpu.X86.HasAMXTile && permitted()
