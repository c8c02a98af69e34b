// Package signtest makes keys for tests. Only tests import it.
package signtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"llmc/engine/sign"
)

// Pair is a key in two files.
type Pair struct {
	Private                 *sign.PrivateKey
	Public                  *sign.PublicKey
	PrivatePath, PublicPath string
}

// NewPair makes a pair.
func NewPair(t testing.TB) Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := Pair{PrivatePath: filepath.Join(dir, "key.pem"), PublicPath: filepath.Join(dir, "pub.pem")}
	if err := os.WriteFile(p.PrivatePath, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	if p.Private, err = sign.ReadPrivateKey(p.PrivatePath); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.PublicPath, p.Private.Public.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if p.Public, err = sign.ReadPublicKey(p.PublicPath); err != nil {
		t.Fatal(err)
	}
	return p
}
