package engine

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Any bytes as a file: a typed error, or a plan that can be used.
func FuzzOpen(f *testing.F) {
	whole, err := os.ReadFile(fixturePlan(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:5000])
	path := filepath.Join(f.TempDir(), "fuzz.plan")
	f.Fuzz(func(t *testing.T, data []byte) { tryFile(t, path, data) })
}

// Any bytes as a header whose hash is right.
func FuzzHeader(f *testing.F) {
	whole, err := os.ReadFile(fixturePlan(f))
	if err != nil {
		f.Fatal(err)
	}
	n := binary.LittleEndian.Uint32(whole[12:])
	f.Add(whole[prologueBytes : prologueBytes+n])
	path := filepath.Join(f.TempDir(), "fuzz.plan")
	f.Fuzz(func(t *testing.T, header []byte) { tryFile(t, path, signBytes(whole, header)) })
}

func tryFile(t *testing.T, path string, data []byte) {
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := openAll(path); err != nil {
		if !typed(err) {
			t.Errorf("error of no kind: %v", err)
		}
		oneLine(t, err, path)
	}
}

// Any bytes as a cubin: a typed error, or one that comes back the same after encoding.
func FuzzCubin(f *testing.F) {
	const text = ".version 7.8\n"
	h := Header{Sections: []Section{{Kind: KindPTX, Name: "sm80", SHA256: SumPTX(text)}}}
	c, err := CubinContent("sm80", &Cubin{Arch: "sm_80", Assembler: "12.2.140", PTX: SumPTX(text), Image: []byte("\x7fELF")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Data)
	f.Fuzz(func(t *testing.T, data []byte) {
		cubin, err := decodeCubin("sm80", data, &h)
		if err != nil {
			if !typed(err) {
				t.Errorf("error of no kind: %v", err)
			}
			return
		}
		again, err := CubinContent("sm80", cubin)
		if err != nil {
			t.Fatal(err)
		}
		same, err := decodeCubin("sm80", again.Data, &h)
		if diff := cmp.Diff(cubin, same); err != nil || diff != "" {
			t.Fatalf("encoded again it differs (%v):\n%s", err, diff)
		}
	})
}

// Any bytes as a program: an error, or one that comes back the same after encoding.
func FuzzProgram(f *testing.F) {
	c, err := ProgramContent(fixtureProgram("x86-64-v3"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Data)
	f.Fuzz(func(t *testing.T, data []byte) {
		program, err := decodeFixtureBytes(data)
		if err != nil {
			return
		}
		again, err := ProgramContent(program)
		if err != nil {
			t.Fatal(err)
		}
		same, err := decodeFixtureBytes(again.Data)
		if err != nil {
			t.Fatalf("encoded again it is refused: %v", err)
		}
		if diff := cmp.Diff(program, same); diff != "" {
			t.Fatalf("encoded again it differs:\n%s", diff)
		}
	})
}
