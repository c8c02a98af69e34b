package tokenizer

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func marshal(t testing.TB, tok *Tokenizer) []byte {
	t.Helper()
	data, err := tok.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The binary form gives the same tokenizer, and the same bytes again.
func TestMarshalRoundTrip(t *testing.T) {
	for _, dir := range goldenDirs(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			tok, g := loadGolden(t, dir)
			data := marshal(t, tok)
			again, err := Unmarshal(data)
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, again, g)
			if !bytes.Equal(marshal(t, again), data) {
				t.Error("a second round gives other bytes")
			}
			other, _ := loadGolden(t, dir)
			if !bytes.Equal(marshal(t, other), data) {
				t.Error("the same files give other bytes")
			}
		})
	}
}

func TestMarshalKeepsSyntheticTokenizers(t *testing.T) {
	for _, c := range loadSynthetic(t) {
		tok, err := Load(Files{JSON: c.File})
		if err != nil {
			t.Fatal(err)
		}
		again, err := Unmarshal(marshal(t, tok))
		if err != nil {
			t.Fatal(err)
		}
		checkSynthetic(t, again, c)
	}
}

// Unmarshal must not keep the bytes: a plan may be unmapped.
func TestUnmarshalCopies(t *testing.T) {
	tok, g := loadGolden(t, "testdata/siglip")
	data := marshal(t, tok)
	again, err := Unmarshal(data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	checkGolden(t, again, g)
}

// Every truncation is an error that names the byte.
func TestUnmarshalTruncated(t *testing.T) {
	tok, _ := loadGolden(t, "testdata/siglip")
	data := marshal(t, tok)
	for n := 0; n < len(data); n += 1 + n/50 {
		if _, err := Unmarshal(data[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are accepted", n, len(data))
		}
	}
	if _, err := Unmarshal(append(data, 0)); err == nil || !strings.Contains(err.Error(), "byte ") {
		t.Errorf("a byte too many: error %v", err)
	}
}

// A token boundary inside of a character would let half characters out of Decode.
func TestUnmarshalRefusesBrokenTokens(t *testing.T) {
	tok, err := Load(Files{JSON: []byte(`{"model":{"type":"WordLevel","vocab":{"é":0,"a":1},"unk_token":"a"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	data := marshal(t, tok)
	at := bytes.Index(data, []byte("\x02\x01éa")) // the lengths of the tokens, then the tokens
	data[at], data[at+1] = 1, 2
	if _, err := Unmarshal(data); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("got %v, want an error about UTF-8", err)
	}
}

func TestUnmarshalOtherVersion(t *testing.T) {
	tok, _ := loadGolden(t, "testdata/gpt2")
	data := marshal(t, tok)
	data[len(binaryMagic)]++
	if _, err := Unmarshal(data); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("got %v, want an error that names the version", err)
	}
}
