package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"llmc/internal/cli"
	"llmc/internal/dtype"
	"llmc/runtime/device/emu"
)

// extent is a flag value X, X,Y or X,Y,Z.
type extent [3]uint32

func (e *extent) Set(text string) error {
	parts := strings.Split(text, ",")
	*e = extent{1, 1, 1}
	if len(parts) > 3 {
		return fmt.Errorf("%q has more than three dimensions", text)
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(strings.TrimSpace(p), 10, 32)
		if err != nil || n == 0 {
			return fmt.Errorf("%q is not a size such as 4,2,1", text)
		}
		e[i] = uint32(n)
	}
	return nil
}

func (e *extent) String() string { return fmt.Sprintf("%d,%d,%d", e[0], e[1], e[2]) }

func (*extent) Type() string { return "X,Y,Z" }

// emulateArg is one kernel argument: a file to read, a buffer to write out, or a scalar.
type emulateArg struct {
	flag  string
	file  string
	bytes int64 // of an out buffer
	bits  uint64
	size  int // of a scalar
	text  string
}

// argFlag appends to one list from several flags, so that their common order is kept.
type argFlag struct {
	list *[]emulateArg
	flag string
}

func (f *argFlag) String() string { return "" }

func (f *argFlag) Type() string {
	return map[string]string{"in": "FILE", "out": "BYTES:FILE", "scalar": "TYPE:VALUE"}[f.flag]
}

const maxOut = 64 << 30

func (f *argFlag) Set(text string) error {
	a := emulateArg{flag: f.flag, file: text, text: text}
	head, tail, ok := strings.Cut(text, ":")
	switch f.flag {
	case "out":
		var n cli.Bytes
		if !ok || tail == "" || n.Set(head) != nil || n > maxOut {
			return fmt.Errorf("%q is not BYTES:FILE such as 4096:out.bin", text)
		}
		a.bytes, a.file = int64(n), tail
	case "scalar":
		if !ok {
			return fmt.Errorf("%q is not TYPE:VALUE such as u32:7", text)
		}
		var err error
		if a.bits, a.size, err = parseScalar(head, tail); err != nil {
			return err
		}
	}
	*f.list = append(*f.list, a)
	return nil
}

// parseScalar reads a value of a PTX type: u8..u64, s8..s64, b8..b64, f16, bf16, f32, f64.
func parseScalar(typ, value string) (bits uint64, size int, err error) {
	bad := fmt.Errorf("%q is not a value of type %s", value, typ)
	kind := strings.TrimRight(typ, "0123456789")
	width, _ := strconv.Atoi(typ[len(kind):])
	known := map[string][]int{"u": {8, 16, 32, 64}, "s": {8, 16, 32, 64}, "b": {8, 16, 32, 64}, "f": {16, 32, 64}, "bf": {16}}
	found := false
	for _, w := range known[kind] {
		found = found || w == width
	}
	if !found {
		return 0, 0, fmt.Errorf("unknown type %q: expected u8 to u64, s8 to s64, b8 to b64, f16, bf16, f32 or f64", typ)
	}
	size = width / 8
	switch kind {
	case "u", "b":
		bits, err = strconv.ParseUint(value, 0, width)
	case "s":
		var v int64
		v, err = strconv.ParseInt(value, 0, width)
		bits = uint64(v) & (^uint64(0) >> (64 - width))
	default:
		bits, err = floatBits(typ, value)
	}
	if err != nil {
		return 0, 0, bad
	}
	return bits, size, nil
}

func floatBits(typ, value string) (uint64, error) {
	width := 32
	if typ == "f64" {
		width = 64
	}
	v, err := strconv.ParseFloat(value, width)
	if err != nil {
		return 0, err
	}
	switch typ {
	case "f64":
		return math.Float64bits(v), nil
	case "f16":
		return uint64(dtype.F32ToF16(float32(v))), nil
	case "bf16":
		return uint64(dtype.F32ToBF16(float32(v))), nil
	}
	return uint64(math.Float32bits(float32(v))), nil
}

// boundArgs are the argument slots of a launch and the buffers to be written afterwards.
type boundArgs struct {
	slots []uint64
	outs  []struct {
		file string
		data []byte
	}
}

const pointerBytes = 8

// bindArgs makes buffers of the arguments. Those behind the last parameter are not passed, as a driver does that reads as many as the
// kernel declares. A file that is named by several --out is one buffer.
func bindArgs(mem *emu.Memory, k *emu.Kernel, args []emulateArg) (*boundArgs, error) {
	params := k.Params()
	if len(params) > len(args) {
		return nil, cli.Usagef("kernel %s takes %d arguments, %d given: one --in, --out or --scalar for each parameter, in order", k.Name(), len(params), len(args))
	}
	b := &boundArgs{}
	shared := map[string]*emu.Buffer{}
	for i, a := range args[:len(params)] {
		size := a.size
		if a.flag != "scalar" {
			size = pointerBytes
		}
		if size != params[i] {
			return nil, cli.Usagef("parameter %d of kernel %s has %d bytes, --%s %s has %d", i, k.Name(), params[i], a.flag, a.text, size)
		}
		if a.flag == "scalar" {
			b.slots = append(b.slots, a.bits)
			continue
		}
		if buffer := shared[a.file]; a.flag == "out" && buffer != nil {
			if len(buffer.Bytes()) != int(a.bytes) {
				return nil, cli.Usagef("--out %s: %d bytes and %d", a.file, len(buffer.Bytes()), a.bytes)
			}
			b.slots = append(b.slots, buffer.Addr())
			continue
		}
		data := make([]byte, a.bytes)
		if a.flag == "in" {
			var err error
			if data, err = os.ReadFile(a.file); err != nil {
				return nil, err
			}
		}
		buffer, err := mem.Wrap(a.file, data, false)
		if err != nil {
			return nil, err
		}
		if a.flag == "out" {
			shared[a.file] = buffer
			b.outs = append(b.outs, struct {
				file string
				data []byte
			}{a.file, data})
		}
		b.slots = append(b.slots, buffer.Addr())
	}
	return b, nil
}

// writeOuts writes every out buffer to its file, each of which is whole or absent.
func (b *boundArgs) writeOuts() error {
	for _, o := range b.outs {
		if err := cli.WriteFile(o.file, func(w io.Writer) error { _, err := w.Write(o.data); return err }); err != nil {
			return err
		}
	}
	return nil
}
