// Package emu runs PTX without a GPU. It owns the meaning of PTX as the PTX ISA manual states it: registers, memory spaces,
// warps, barriers, asynchronous copies and tensor-core instructions. It reads nothing but PTX text (package ptxtext) and shares
// no code or table with the part of the compiler that writes PTX, so that one mistake cannot hide in both.
//
// A Module is parsed once; each kernel is decoded once, at first use, into closures over register numbers: calls are inlined,
// constants and special registers become registers. A launch runs thread blocks (CTAs) on goroutines. A warp executes one
// instruction for all lanes that share a program counter, lowest program counter first, so that lanes that diverged meet again.
//
// The emulator is stricter than hardware. Reading a register or predicate that was never written, unaligned and out-of-bounds
// accesses, collectives that lanes miss, shared-memory and cross-CTA races, results of asynchronous instructions touched before
// their wait, and missing fences are errors that name kernel, line, thread and address. Asynchronous copies and wgmma take effect
// at the wait that orders them; with a seed, some take effect earlier, at random.
package emu
