package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// kindsOfError are what a bad file may give.
var kindsOfError = []error{ErrNotPlan, ErrVersion, ErrTruncated, ErrChecksum, ErrFormat, ErrProgram}

func typed(err error) bool {
	for _, kind := range kindsOfError {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// oneLine reports errors that are not a single line which names the file.
func oneLine(t *testing.T, err error, path string) {
	t.Helper()
	if text := err.Error(); strings.ContainsAny(text, "\n\r\x1b") || !strings.Contains(text, path) || len(text) > 4096 {
		t.Errorf("error is not one line naming %s: %q", path, text)
	}
}

// openAll opens a plan and uses all of it but the weights' numbers.
func openAll(path string) error {
	p, err := Open(path)
	if err != nil {
		return err
	}
	defer p.Close()
	for i := range p.header.Sections {
		s := &p.header.Sections[i]
		if s.Kind == KindWeights {
			continue
		}
		if _, err := p.Section(s.Kind, s.Name); err != nil {
			return err
		}
	}
	for _, name := range p.Names(KindProgram) {
		function, target, _ := strings.Cut(name, "/")
		if _, err := p.Program(function, target); err != nil {
			return err
		}
	}
	for _, target := range p.Names(KindCubin) {
		if _, err := p.Cubin(target); err != nil {
			return err
		}
	}
	for _, w := range p.Weights() {
		entry, data, err := p.Weight(w.Name)
		if err != nil || int64(len(data)) != entry.Bytes {
			return fmt.Errorf("weight %s has %d bytes: %w", w.Name, len(data), err)
		}
		_ = data[0] + data[len(data)-1] // inside the mapping
	}
	return nil
}

// Cut anywhere, a plan is an error.
func TestTruncated(t *testing.T) {
	path := fixturePlan(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(whole) - 1; n >= 0; n -= 1 + min(n/3, 997) {
		if err := os.Truncate(path, int64(n)); err != nil {
			t.Fatal(err)
		}
		err := openAll(path)
		if !errors.Is(err, ErrTruncated) && !(n < len(magic) && errors.Is(err, ErrNotPlan)) {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
		}
		oneLine(t, err, path)
	}
	if err := os.WriteFile(path, append(whole, 0), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := openAll(path); !errors.Is(err, ErrFormat) {
		t.Errorf("one byte more: %v", err)
	}
}

// Every byte matters: wherever a bit flips, Verify notices, and where serving reads, Open does.
func TestBitFlips(t *testing.T) {
	path := fixturePlan(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := openPlan(t, path)
	header := int(prologueBytes + p.headerBytes)
	for at := 0; at < len(whole); at++ {
		if at > header+64 && at%61 != 0 {
			continue
		}
		file.WriteAt([]byte{whole[at] ^ byte(1<<(at%8))}, int64(at))
		flipped, openErr := Open(path)
		if openErr == nil {
			openErr = flipped.Verify(context.Background(), 1, nil)
			flipped.Close()
			if at < header {
				t.Errorf("flip at byte %d of the header: Open took it", at)
			}
		}
		if !typed(openErr) {
			t.Fatalf("flip at byte %d: %v", at, openErr)
		}
		oneLine(t, openErr, path)
		file.WriteAt(whole[at:at+1], int64(at))
	}
	if err := p.Verify(context.Background(), 1, nil); err != nil {
		t.Errorf("restored: %v", err)
	}
}

// A damaged weight does not keep a plan from opening, which reads no weight; VerifyWeights names the first one.
func TestDamagedWeights(t *testing.T) {
	path := fixturePlan(t)
	p := openPlan(t, path)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, name := range []string{"inv_freq", "qkv"} {
		entry, data, _ := p.Weight(name)
		at := p.base + entry.Offset + entry.Bytes/2
		file.WriteAt([]byte{data[entry.Bytes/2] ^ 4}, at)
		if err := openAll(path); err != nil {
			t.Errorf("%s damaged: %v", name, err)
		}
		err := p.VerifyWeights(context.Background(), 3, nil)
		if !errors.Is(err, ErrChecksum) || !strings.Contains(err.Error(), "weight "+name+" ") {
			t.Errorf("%s damaged: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.VerifyWeights(ctx, 1, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	var last int64
	p.VerifyWeights(context.Background(), 1, func(done, total int64) { last = done - total })
	if last != 0 {
		t.Errorf("progress ended %d bytes before its total", last)
	}
}

func TestPrologue(t *testing.T) {
	path := fixturePlan(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		at   int
		put  []byte
		want error
		text string
	}{
		{"other file", 0, []byte("\x7fELF"), ErrNotPlan, "does not begin"},
		{"sent as text", 4, []byte("\n\n"), ErrNotPlan, "does not begin"},
		{"newer major", 8, []byte{2, 0, 3}, ErrVersion, "version 2.3 and this program reads 1.x"},
		{"major 0", 8, []byte{0}, ErrVersion, "version 0.0"},
		{"newer minor than the header says", 10, []byte{1}, ErrFormat, "version 1.1 at byte 8 and 1.0"},
		{"no header", 12, []byte{0, 0, 0, 0}, ErrFormat, "header of 0 bytes"},
		{"huge header", 12, []byte{0xff, 0xff, 0xff, 0xff}, ErrFormat, "header of 4294967295 bytes"},
		{"header longer than the file", 12, []byte{0, 0, 0xff, 0}, ErrTruncated, "its header alone"},
		{"reserved byte", 63, []byte{1}, ErrFormat, "reserved byte 63"},
		{"header hash", 16, []byte("xxxx"), ErrChecksum, "hash"},
	} {
		changed := bytes.Clone(whole)
		copy(changed[c.at:], c.put)
		if err := os.WriteFile(path, changed, 0o644); err != nil {
			t.Fatal(err)
		}
		err := openAll(path)
		if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// looseHeader is a header without a type, to put anything into.
type looseHeader = map[string]any

func readLoose(t testing.TB, whole []byte) looseHeader {
	t.Helper()
	var h looseHeader
	n := binary.LittleEndian.Uint32(whole[12:])
	if err := msgpack.Unmarshal(whole[prologueBytes:prologueBytes+n], &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// sign puts a header into the file as if it were its own: with length and hash.
func sign(t testing.TB, whole []byte, header any) []byte {
	t.Helper()
	data, err := marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return signBytes(whole, data)
}

func signBytes(whole, header []byte) []byte {
	p := prologue{major: FormatMajor, headerBytes: uint32(len(header)), headerSum: sha256.Sum256(header)}
	start := append(p.encode(), header...)
	return append(start, whole[min(len(start), len(whole)):]...)
}

func at(h looseHeader, table string, i int) map[string]any {
	return h[table].([]any)[i].(map[string]any)
}

// hostileHeaders are changes of the fixture's header, whose section 12 is that of the weights.
var hostileHeaders = []struct {
	name   string
	change func(h looseHeader)
	want   error
	text   string
}{
	{"nothing", func(h looseHeader) {}, nil, ""},
	{"unknown field", func(h looseHeader) { h["later"] = []any{1, "x"} }, nil, ""},
	{"version", func(h looseHeader) { h["major"] = 7 }, ErrFormat, "7.0 in the header"},
	{"file size beyond", func(h looseHeader) { h["file_size"] = 1 << 40 }, ErrTruncated, "should have"},
	{"file size short", func(h looseHeader) { h["file_size"] = 100 }, ErrFormat, "follow its end"},
	{"file size negative", func(h looseHeader) { h["file_size"] = -1 }, ErrFormat, "follow its end"},
	{"no sections", func(h looseHeader) { delete(h, "sections") }, ErrFormat, "section info is missing"},
	{"section is no map", func(h looseHeader) { h["sections"] = 3 }, ErrFormat, "header"},
	{"section past the end", func(h looseHeader) { at(h, "sections", 14)["size"] = 1 << 20 }, ErrFormat, "past the end"},
	{"offset wraps", func(h looseHeader) { at(h, "sections", 1)["offset"] = int64(math.MaxInt64) / 4096 * 4096 }, ErrFormat, "section program step/x86-64-v3: offset"},
	{"size wraps", func(h looseHeader) { at(h, "sections", 1)["size"] = int64(math.MaxInt64) }, ErrFormat, "past the end"},
	{"unsigned", func(h looseHeader) { at(h, "sections", 1)["size"] = uint64(math.MaxUint64) }, ErrFormat, "63 bits"},
	{"size negative", func(h looseHeader) { at(h, "sections", 1)["size"] = -4096 }, ErrFormat, "past the end"},
	{"offset zero", func(h looseHeader) { at(h, "sections", 0)["offset"] = 0 }, ErrFormat, "inside"},
	{"overlap", func(h looseHeader) { at(h, "sections", 2)["offset"] = at(h, "sections", 1)["offset"] }, ErrFormat, "inside what ends"},
	{"misaligned", func(h looseHeader) { at(h, "sections", 1)["offset"] = 8200 }, ErrFormat, "multiple of 4096"},
	{"section twice", func(h looseHeader) { at(h, "sections", 2)["name"] = at(h, "sections", 1)["name"] }, ErrFormat, "occurs twice"},
	{"short hash", func(h looseHeader) { at(h, "sections", 1)["sha256"] = []byte("abc") }, ErrFormat, "hash of 3 bytes"},
	{"other hash", func(h looseHeader) { at(h, "sections", 1)["sha256"] = make([]byte, 32) }, ErrChecksum, "section program step/x86-64-v3"},
	{"name with escape", func(h looseHeader) { at(h, "sections", 1)["name"] = "a\x1b[2Jb\n" }, ErrFormat, "one line"},
	{"long name", func(h looseHeader) { at(h, "weights", 1)["name"] = strings.Repeat("n", 1025) }, ErrFormat, "name of 1025 bytes"},
	{"path in a file name", func(h looseHeader) { at(h, "sections", 4)["name"] = "../../etc/passwd" }, ErrFormat, "plain file name"},
	{"program without name", func(h looseHeader) { delete(at(h, "sections", 1), "name") }, ErrFormat, "has no name"},
	{"info with name", func(h looseHeader) { at(h, "sections", 0)["name"] = "x" }, ErrFormat, "this kind has none"},
	{"unknown kind", func(h looseHeader) { at(h, "sections", 9)["kind"] = "later" }, nil, ""},
	{"weights renamed", func(h looseHeader) { at(h, "sections", 14)["kind"] = "later" }, ErrFormat, "section weights is missing"},

	{"weight past its section", func(h looseHeader) { at(h, "weights", 3)["bytes"] = 1 << 20 }, ErrFormat, "weight inv_freq"},
	{"weight offset wraps", func(h looseHeader) { at(h, "weights", 3)["offset"] = int64(math.MaxInt64) }, ErrFormat, "weight inv_freq"},
	{"weight of no bytes", func(h looseHeader) { at(h, "weights", 0)["bytes"] = 0 }, ErrFormat, "size of 0 bytes"},
	{"weight negative", func(h looseHeader) { at(h, "weights", 0)["offset"] = -64 }, ErrFormat, "overlaps"},
	{"weights overlap", func(h looseHeader) { at(h, "weights", 1)["offset"] = 0 }, ErrFormat, "weight norm: offset 0 overlaps"},
	{"weight misaligned", func(h looseHeader) { at(h, "weights", 3)["offset"] = 12712 }, ErrFormat, "weight inv_freq"},
	{"weight twice", func(h looseHeader) { at(h, "weights", 1)["name"] = "embed" }, ErrFormat, "weight embed occurs twice"},
	{"weight without name", func(h looseHeader) { delete(at(h, "weights", 1), "name") }, ErrFormat, "weight 1 has no name"},
	{"weight hash", func(h looseHeader) { at(h, "weights", 1)["sha256"] = make([]byte, 32) }, ErrChecksum, "hashes of the weights"},
	{"shape too large", func(h looseHeader) { at(h, "weights", 1)["shape"] = []any{1 << 40, 1 << 40} }, ErrFormat, "bad shape"},
	{"shape negative", func(h looseHeader) { at(h, "weights", 1)["shape"] = []any{-64} }, ErrFormat, "bad shape"},
	{"shape and size", func(h looseHeader) { at(h, "weights", 1)["shape"] = []any{65} }, ErrFormat, "256 bytes for f32[65]"},
	{"dtype", func(h looseHeader) { at(h, "weights", 1)["dtype"] = "f31" }, ErrFormat, "unknown dtype"},
	{"dtype of half bytes", func(h looseHeader) { at(h, "weights", 1)["dtype"] = "u4" }, ErrFormat, "256 bytes for u4"},
	{"layout", func(h looseHeader) { at(h, "weights", 0)["layout"] = "u5" }, ErrFormat, "unknown weight layout"},
	{"layout and dtype", func(h looseHeader) { at(h, "weights", 0)["dtype"] = "f32" }, ErrFormat, "a packed matrix has no dtype"},
	{"packed shape", func(h looseHeader) { at(h, "weights", 0)["shape"] = []any{8, 8, 8, 8} }, ErrFormat, "must be [N, K]"},
	{"stack", func(h looseHeader) { at(h, "weights", 0)["shape"] = []any{64, 8, 8} }, ErrFormat, "takes"},
	{"stack of too many", func(h looseHeader) { at(h, "weights", 0)["shape"] = []any{4097, 1, 1} }, ErrFormat, "stack of 4097 matrices"},
	{"packed size", func(h looseHeader) { at(h, "weights", 0)["shape"] = []any{65, 64} }, ErrFormat, "takes"},
	{"segment", func(h looseHeader) { at(h, "weights", 0)["segment"] = 7 }, ErrFormat, "segment"},
	{"segment negative", func(h looseHeader) { at(h, "weights", 0)["segment"] = -64 }, ErrFormat, "segment"},
}

// A header with a right hash may still say anything.
func TestHostileHeaders(t *testing.T) {
	path := fixturePlan(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range hostileHeaders {
		header := readLoose(t, whole)
		c.change(header)
		if err := os.WriteFile(path, sign(t, whole, header), 0o644); err != nil {
			t.Fatal(err)
		}
		err := openAll(path)
		if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s: got %v, want %v with %q", c.name, err, c.want, c.text)
		}
		if err != nil {
			oneLine(t, err, path)
		}
	}
}

// A plan of a newer minor version opens, with what this release does not know left out.
func TestNewerMinor(t *testing.T) {
	path := fixturePlan(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	header := readLoose(t, whole)
	header["minor"], header["later"] = 3, []any{"x"}
	at(header, "weights", 0)["later"] = 1.5
	at(header, "sections", 9)["kind"] = "later"
	newer := sign(t, whole, header)
	newer[10] = 3
	if err := os.WriteFile(path, newer, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := openAll(path); err != nil {
		t.Error(err)
	}
}

// hostileValues replace every field of the header in turn.
var hostileValues = []any{nil, true, -1, 0, 1, 4096, int64(math.MaxInt64), int64(math.MinInt64), uint64(math.MaxUint64), 1.5, math.NaN(),
	"", "x", []byte{1}, []any{}, []any{1}, map[string]any{}, map[string]any{"kind": 1}}

// Whatever stands in whichever field: a typed error, or a plan whose every part can be used.
func TestEveryFieldHostile(t *testing.T) {
	path := fixturePlan(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(where string, header looseHeader) {
		if err := os.WriteFile(path, sign(t, whole, header), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := openAll(path); err != nil && !typed(err) {
			t.Errorf("%s: %v", where, err)
		}
	}
	rows := func(h looseHeader) map[string]map[string]any {
		return map[string]map[string]any{"header": h, "section": at(h, "sections", 2), "weights section": at(h, "sections", 14), "cubin": at(h, "sections", 13),
			"packed weight": at(h, "weights", 0), "vector": at(h, "weights", 1)}
	}
	for row, fields := range rows(readLoose(t, whole)) {
		for field := range fields {
			for _, value := range hostileValues {
				header := readLoose(t, whole)
				rows(header)[row][field] = value
				try(fmt.Sprintf("%s.%s = %v", row, field, value), header)
			}
		}
	}
}

func TestNotRegular(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); !errors.Is(err, ErrNotPlan) {
		t.Errorf("directory: %v", err)
	}
	empty := filepath.Join(dir, "empty")
	os.WriteFile(empty, nil, 0o644)
	if _, err := Open(empty); !errors.Is(err, ErrNotPlan) {
		t.Errorf("empty file: %v", err)
	}
}
