package sign_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/engine/sign"
	"llmc/engine/sign/signtest"
)

const digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSignature wants one to hold for its key, its digest and its bytes alone.
func TestSignature(t *testing.T) {
	key, other := signtest.NewPair(t), signtest.NewPair(t)
	s, err := key.Private.Sign("registry.example/models/engine", digest)
	check(t, err)
	again, err := sign.ParseSignature(s.Payload, s.Annotation())
	check(t, err)
	if !again.By(key.Public, digest) || again.By(other.Public, digest) || again.By(key.Public, strings.Replace(digest, "9f", "9e", 1)) {
		t.Error("a signature is not of its key and digest alone")
	}
	again.Payload = []byte(strings.Replace(string(again.Payload), "models", "modelz", 1))
	if again.By(key.Public, digest) {
		t.Error("a payload may be changed")
	}
}

// TestStatement wants what signs a statement to sign its type too, and a signature of a plan not to be any statement about it.
func TestStatement(t *testing.T) {
	key, other := signtest.NewPair(t), signtest.NewPair(t)
	st, err := sign.NewStatement("https://slsa.dev/provenance/v1", map[string]int{"a": 1}, sign.NewSubject("x", digest))
	check(t, err)
	data, err := key.Private.SignStatement(st)
	check(t, err)
	back, err := sign.OpenStatement(data, key.Public)
	check(t, err)
	check(t, back.Check(st.PredicateType, digest))
	if _, err := sign.OpenStatement(data, other.Public); !errors.Is(err, sign.ErrUntrusted) {
		t.Errorf("another key: %v", err)
	}
	for _, bad := range []error{back.Check("https://spdx.dev/Document", digest), back.Check(st.PredicateType, "sha256:00")} {
		if !errors.Is(bad, sign.ErrUntrusted) {
			t.Error("a statement about something else is taken")
		}
	}
	changed := strings.Replace(string(data), "application/vnd.in-toto+json", "application/vnd.in-toto+jsoN", 1)
	if _, err := sign.OpenStatement([]byte(changed), key.Public); err == nil {
		t.Error("the type of a payload is not signed")
	}
	if (&sign.Signature{Bundle: data}).By(key.Public, digest) {
		t.Error("a provenance is a signature")
	}
}

// TestKeys reads keys in each form, and refuses others in a line that says what to do.
func TestKeys(t *testing.T) {
	dir, pair := t.TempDir(), signtest.NewPair(t)
	write := func(kind string, der []byte) string {
		path := filepath.Join(dir, "k.pem")
		check(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	sec1, err := x509.MarshalECPrivateKey(p256)
	check(t, err)
	_, err = sign.ReadPrivateKey(write("EC PRIVATE KEY", sec1))
	check(t, err)
	t.Setenv("LLMC_TEST_KEY", string(pair.Public.PEM()))
	fromEnv, err := sign.ReadPublicKey("env://LLMC_TEST_KEY")
	check(t, err)
	if !fromEnv.Same(pair.Public) {
		t.Error("another key from the environment")
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	wide, err := x509.MarshalECPrivateKey(p384)
	check(t, err)
	wideP, err := x509.MarshalPKIXPublicKey(&p384.PublicKey)
	check(t, err)
	private := func(path string) error { _, err := sign.ReadPrivateKey(path); return err }
	public := func(path string) error { _, err := sign.ReadPublicKey(path); return err }
	for want, err := range map[string]error{
		"ECDSA over P-256":                 private(write("EC PRIVATE KEY", wide)),
		"are ECDSA over P-256":             public(write("PUBLIC KEY", wideP)),
		"is a private key":                 public(pair.PrivatePath),
		"holds no private key":             private(pair.PublicPath),
		"holds no PEM":                     public(os.Args[0][:0] + "/dev/null"),
		"no such file":                     private(filepath.Join(dir, "none")),
		"not set, or empty":                private("env://LLMC_NO_SUCH"),
		"encrypted as PKCS#8":              private(write("ENCRYPTED PRIVATE KEY", sec1)),
		"not in JSON":                      private(write("ENCRYPTED SIGSTORE PRIVATE KEY", sec1)),
		"out of bounds":                    private(write("ENCRYPTED SIGSTORE PRIVATE KEY", encrypted(1<<30))),
		"set COSIGN_PASSWORD":              private(write("ENCRYPTED SIGSTORE PRIVATE KEY", encrypted(2))),
		`encrypted with "" and ""; scrypt`: private(write("ENCRYPTED COSIGN PRIVATE KEY", []byte("{}"))),
	} {
		if !errors.Is(err, sign.ErrKey) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

// encrypted is an encrypted key that asks for so much of scrypt.
func encrypted(n int) []byte {
	data, _ := json.Marshal(map[string]any{"kdf": map[string]any{"name": "scrypt", "params": map[string]int{"N": n, "r": 8, "p": 1}, "salt": []byte("x")},
		"cipher": map[string]any{"name": "nacl/secretbox", "nonce": make([]byte, 24)}, "ciphertext": []byte("x")})
	return data
}

// TestFiles signs a file, and wants it to be that file.
func TestFiles(t *testing.T) {
	key := signtest.NewPair(t)
	path := filepath.Join(t.TempDir(), "x.plan")
	check(t, os.WriteFile(path, []byte("weights"), 0o600))
	demand := sign.One(key.Public)
	if err := demand.CheckFile(path); !errors.Is(err, sign.ErrUnsigned) {
		t.Errorf("without a signature: %v", err)
	}
	bundle, err := key.Private.SignFile(strings.NewReader("weights"))
	check(t, err)
	check(t, os.WriteFile(path+sign.FileSuffix, bundle, 0o600))
	check(t, demand.CheckFile(path))
	if err := sign.One(signtest.NewPair(t).Public).CheckFile(path); !errors.Is(err, sign.ErrUntrusted) {
		t.Errorf("another key: %v", err)
	}
	check(t, os.WriteFile(path, []byte("weightz"), 0o600))
	if err := demand.CheckFile(path); !errors.Is(err, sign.ErrUntrusted) {
		t.Errorf("other bytes: %v", err)
	}
	check(t, os.WriteFile(path+sign.FileSuffix, []byte("{}"), 0o600))
	if err := demand.CheckFile(path); !errors.Is(err, sign.ErrUntrusted) {
		t.Errorf("no bundle: %v", err)
	}
}

// FuzzBundle wants no panic of what is read, and nothing to be signed by a key that has signed nothing.
func FuzzBundle(f *testing.F) {
	key := signtest.NewPair(f)
	bundle, err := key.Private.SignFile(strings.NewReader("x"))
	check(f, err)
	f.Add(bundle)
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA=="}]}}`))
	other := signtest.NewPair(f).Public
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := sign.ParseFileSignature(data); err == nil && s.By(other, [32]byte{}) {
			t.Error("signed by a key that signed nothing")
		}
		if _, err := sign.OpenStatement(data, other); err == nil {
			t.Error("a statement of a key that signed nothing")
		}
		if s, err := sign.ParseSignature(data, string(data)); err == nil && s.By(other, digest) {
			t.Error("a signature of a key that signed nothing")
		}
	})
}
