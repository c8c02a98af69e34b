package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The files in the tree are what the generator writes, and there are no others.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	want := generate()
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, text) {
			t.Errorf("%s is out of date: run go generate in the kernel package", name)
		}
	}
	for _, dir := range []string{"", "roofline"} {
		present, err := filepath.Glob(filepath.Join("..", dir, "z*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range present {
			if _, ok := want[filepath.ToSlash(filepath.Join(dir, filepath.Base(p)))]; !ok {
				t.Errorf("%s is not generated any more", p)
			}
		}
	}
}

// Encodings that GNU as 2.40 gives.
func TestEVEX(t *testing.T) {
	for _, c := range []struct {
		op                 byte
		dst, first, second int
		want               []byte
	}{
		{0x52, 0, 1, 2, []byte{0x62, 0xf2, 0x76, 0x48, 0x52, 0xc2}},    // vdpbf16ps %zmm2,%zmm1,%zmm0
		{0x52, 31, 16, 8, []byte{0x62, 0x42, 0x7e, 0x40, 0x52, 0xf8}},  // vdpbf16ps %zmm8,%zmm16,%zmm31
		{0x52, 9, 26, 27, []byte{0x62, 0x12, 0x2e, 0x40, 0x52, 0xcb}},  // vdpbf16ps %zmm27,%zmm26,%zmm9
		{0x72, 3, -1, 21, []byte{0x62, 0xb2, 0x7e, 0x48, 0x72, 0xdd}},  // vcvtneps2bf16 %zmm21,%ymm3
		{0x72, 24, -1, 15, []byte{0x62, 0x42, 0x7e, 0x48, 0x72, 0xc7}}, // vcvtneps2bf16 %zmm15,%ymm24
	} {
		if got := evex(c.op, c.dst, c.first, c.second); !bytes.Equal(got, c.want) {
			t.Errorf("%#x %d, %d, %d: % x, want % x", c.op, c.dst, c.first, c.second, got, c.want)
		}
	}
}

// Encodings that GNU as 2.40 gives, but for displacements, which are of four bytes here.
func TestTileEncodings(t *testing.T) {
	for name, c := range map[string]struct {
		write func(f *function)
		want  string
	}{
		"ldtilecfg (%rax)":                  {(*function).tileConfigure, "c4 e2 78 49 00"},
		"tilerelease":                       {(*function).tileRelease, "c4 e2 78 49 c0"},
		"tilezero %tmm5":                    {func(f *function) { f.tileZero(5) }, "c4 e2 7b 49 e8"},
		"tileloadd 0x400(%rsi,%r8,1),%tmm6": {func(f *function) { f.tileLoad(1024, "SI", "R8", 6) }, "c4 a2 7b 4b b4 06 00 04 00 00"},
		"tileloadd (%r13,%rax,1),%tmm1":     {func(f *function) { f.tileLoad(0, "R13", "AX", 1) }, "c4 c2 7b 4b 8c 05 00 00 00 00"},
		"tilestored %tmm3,64(%r12,%r9,1)":   {func(f *function) { f.tileStore(3, 64, "R12", "R9") }, "c4 82 7a 4b 9c 0c 40 00 00 00"},
		"tileloadd 0x40(%rsi,%r9,2),%tmm7":  {func(f *function) { f.tileLoad(64, "SI", "R9*2", 7) }, "c4 a2 7b 4b bc 4e 40 00 00 00"},
		"tilestored %tmm2,2048(%r13,%r9,4)": {func(f *function) { f.tileStore(2, 2048, "R13", "R9*4") }, "c4 82 7a 4b 94 8d 00 08 00 00"},
		"tdpbssd %tmm7,%tmm4,%tmm1":         {func(f *function) { f.tileDot(dotSigned, 4, 7, 1) }, "c4 e2 43 5e cc"},
		"tdpbsud %tmm6,%tmm5,%tmm2":         {func(f *function) { f.tileDot(dotSignedUnsigned, 5, 6, 2) }, "c4 e2 4a 5e d5"},
		"tdpbf16ps %tmm6,%tmm4,%tmm0":       {func(f *function) { f.tileDot(dotBF16Tiles, 4, 6, 0) }, "c4 e2 4a 5c c4"},
	} {
		f := newFunction("f", "", "", "")
		c.write(f)
		var got []string
		for _, b := range regexp.MustCompile(`BYTE \$0x(..)`).FindAllStringSubmatch(f.text.String(), -1) {
			got = append(got, b[1])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %s, want %s", name, strings.Join(got, " "), c.want)
		}
	}
}

// Every register of both instructions, read back by a disassembler that knows them.
func TestEVEXDisassembles(t *testing.T) {
	objdump, err := exec.LookPath("objdump")
	if err != nil {
		t.Skip("binutils are not installed")
	}
	var code []byte
	var want []string
	add := func(f func(*function)) {
		fn := newFunction("f", "", "", "")
		f(fn)
		for _, b := range regexp.MustCompile(`BYTE \$0x(..)`).FindAllStringSubmatch(fn.text.String(), -1) {
			code = append(code, unhex(b[1]))
		}
		_, meaning, _ := strings.Cut(fn.text.String(), "// ")
		want = append(want, intel(strings.TrimSpace(meaning)))
	}
	for i := range 32 {
		add(func(f *function) { f.dotBF16(i, (i*7+3)%32, (i*5+11)%32) })
		add(func(f *function) { f.roundBF16(i, (i*13+6)%32) })
	}
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, code, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(objdump, "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", file).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("vdpbf16ps")) {
		t.Skipf("this objdump does not know the instructions: %v", err)
	}
	var got []string
	for _, m := range regexp.MustCompile(`\t(v\w+) +(\S+)`).FindAllStringSubmatch(string(out), -1) {
		got = append(got, m[1]+" "+m[2])
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("disassembled:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func unhex(s string) byte {
	const digits = "0123456789abcdef"
	return byte(strings.IndexByte(digits, s[0])<<4 | strings.IndexByte(digits, s[1]))
}

// intel rewrites an instruction in Go's syntax as Intel's: destination first, registers by their long names.
func intel(s string) string {
	op, operands, _ := strings.Cut(s, " ")
	list := strings.Split(operands, ", ")
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	text := strings.ToLower(op + " " + strings.Join(list, ","))
	return strings.NewReplacer("z", "zmm", ",y", ",ymm", " y", " ymm").Replace(text)
}
