package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"llmc/internal/cli"
)

// scaleText multiplies n words by a factor and adds those of a second buffer: arguments in, scalar, out, in, scalar.
const scaleText = `.version 8.0
.target sm_80
.address_size 64
.visible .entry scale(.param .u64 a, .param .u32 factor, .param .u64 out, .param .u64 b, .param .u16 n)
{
	.reg .pred p;
	.reg .b16 h;
	.reg .b32 r<8>;
	.reg .b64 d<8>;
	ld.param.u16 h, [n];
	cvt.u32.u16 r0, h;
	mov.u32 r1, %ctaid.x; mov.u32 r2, %ntid.x; mov.u32 r3, %tid.x;
	mad.lo.u32 r1, r1, r2, r3;
	setp.ge.u32 p, r1, r0;
	@p ret;
	ld.param.u64 d0, [a]; ld.param.u64 d1, [b]; ld.param.u64 d2, [out]; ld.param.u32 r4, [factor];
	mul.wide.u32 d3, r1, 4;
	add.u64 d0, d0, d3; add.u64 d1, d1, d3; add.u64 d2, d2, d3;
	ld.global.u32 r5, [d0]; ld.global.u32 r6, [d1];
	mad.lo.u32 r5, r5, r4, r6;
	st.global.u32 [d2], r5;
	ret;
}
`

// emulate runs the command and returns exit code and standard output.
func emulate(args ...string) (code int, out string) {
	root := &cobra.Command{Use: "llmc"}
	root.AddCommand(emulateCommand())
	var b bytes.Buffer
	root.SetOut(&b)
	return cli.Run(root, append([]string{"emulate"}, args...)), b.String()
}

func emulateFiles(t *testing.T) (ptx, a, b, out string) {
	dir := t.TempDir()
	ptx, a, b, out = filepath.Join(dir, "k.ptx"), filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "out")
	words := func(scale uint32) []byte {
		var p []byte
		for i := range uint32(10) {
			p = binary.LittleEndian.AppendUint32(p, i*scale)
		}
		return p
	}
	for name, data := range map[string][]byte{ptx: []byte(scaleText), a: words(1), b: words(100)} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return ptx, a, b, out
}

func TestEmulate(t *testing.T) {
	ptx, a, b, out := emulateFiles(t)
	code, text := emulate(ptx, "--entry", "scale", "--arch", "sm80", "--grid", "2", "--block", "8,1,1",
		"--in", a, "--scalar", "u32:3", "--out", "44:"+out, "--in", b, "--scalar", "u16:10", "--json")
	if code != cli.ExitDone {
		t.Fatalf("exit code %d", code)
	}
	got, err := os.ReadFile(out)
	if err != nil || len(got) != 44 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for i := range uint32(11) {
		want := i * 103
		if i == 10 {
			want = 0
		}
		if v := binary.LittleEndian.Uint32(got[4*i:]); v != want {
			t.Errorf("value %d: %d, want %d", i, v, want)
		}
	}
	var counts map[string]any
	if err := json.Unmarshal([]byte(text), &counts); err != nil {
		t.Fatal(err)
	}
	if counts["global_bytes_loaded"] != 80.0 || counts["global_bytes_stored"] != 40.0 || counts["instructions"].(float64) < 30 {
		t.Errorf("counts: %s", text)
	}
}

func TestEmulateErrors(t *testing.T) {
	ptx, a, b, out := emulateFiles(t)
	full := []string{"--in", a, "--scalar", "u32:3", "--out", "40:" + out, "--in", b, "--scalar", "u16:10"}
	for _, c := range []struct {
		code int
		args []string
	}{
		{cli.ExitUsage, []string{ptx, "--entry", "scale"}},
		{cli.ExitUsage, []string{ptx, "--entry", "scale", "--arch", "x86"}},
		{cli.ExitUsage, []string{ptx, "--entry", "scale", "--arch", "sm80", "--in", a}},
		{cli.ExitUsage, append([]string{ptx, "--entry", "scale", "--arch", "sm80", "--grid", "0"}, full...)},
		{cli.ExitUsage, []string{ptx, "--entry", "scale", "--arch", "sm80", "--scalar", "u32:4294967296"}},
		{cli.ExitUsage, []string{ptx, "--entry", "scale", "--arch", "sm80", "--scalar", "u7:1"}},
		{cli.ExitUsage, []string{ptx, "--entry", "scale", "--arch", "sm80", "--out", out}},
		{cli.ExitFailed, append([]string{ptx, "--entry", "other", "--arch", "sm80"}, full...)},
		{cli.ExitFailed, append([]string{ptx, "--entry", "scale", "--arch", "sm75"}, full...)},
		{cli.ExitFailed, append([]string{a, "--entry", "scale", "--arch", "sm80"}, full...)},
		{cli.ExitFailed, append([]string{ptx + ".none", "--entry", "scale", "--arch", "sm80"}, full...)},
		{cli.ExitFailed, append([]string{ptx, "--entry", "scale", "--arch", "sm80", "--grid", "2", "--block", "8"}, strings.Split(strings.ReplaceAll(strings.Join(full, "\x00"), "40:", "36:"), "\x00")...)},
	} {
		if code, text := emulate(c.args...); code != c.code || text != "" {
			t.Errorf("%q: exit code %d, want %d; output %q", c.args, code, c.code, text)
		}
		if _, err := os.Stat(out); err == nil {
			t.Fatalf("%q: an output was written", c.args)
		}
	}
}

func TestParseScalar(t *testing.T) {
	for text, want := range map[string]uint64{
		"u8:255": 255, "s8:-1": 0xff, "s32:-2": 0xfffffffe, "b64:0xffffffffffffffff": ^uint64(0), "f32:0.5": 0x3f000000, "f64:-1": 0xbff0000000000000,
		"f16:1.5": 0x3e00, "bf16:-2": 0xc000, "u64:0b101": 5,
	} {
		typ, value, _ := strings.Cut(text, ":")
		if got, _, err := parseScalar(typ, value); err != nil || got != want {
			t.Errorf("%s: %#x, %v; want %#x", text, got, err, want)
		}
	}
}

// A file named by two --out is one buffer, and what is behind the last parameter is not passed.
func TestEmulateSharedAndFurtherArguments(t *testing.T) {
	ptx, a, _, out := emulateFiles(t)
	seeded := func(args ...string) []byte {
		t.Helper()
		if code, _ := emulate(append([]string{ptx, "--entry", "scale", "--arch", "sm80", "--grid", "2", "--block", "8", "--in", a}, args...)...); code != cli.ExitDone {
			t.Fatalf("%v: exit code %d", args, code)
		}
		got, err := os.ReadFile(out)
		if err != nil || len(got) != 40 {
			t.Fatalf("%v: %d bytes, %v", args, len(got), err)
		}
		return got
	}
	want := seeded("--scalar", "u32:3", "--out", "40:"+out, "--in", a, "--scalar", "u16:0") // nothing is written
	if !bytes.Equal(want, make([]byte, 40)) {
		t.Errorf("an out buffer does not start with zeros: %x", want)
	}
	got := seeded("--scalar", "u32:3", "--out", "40:"+out, "--out", "40:"+out, "--scalar", "u16:10", "--out", "8:"+filepath.Join(t.TempDir(), "further"))
	for i := range uint32(10) {
		if v := binary.LittleEndian.Uint32(got[4*i:]); v != 3*i {
			t.Errorf("word %d is %d, want %d", i, v, 3*i)
		}
	}
}
