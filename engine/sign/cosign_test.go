package sign_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/engine/sign"
	"llmc/engine/sign/signtest"
)

func vector(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	check(t, err)
	return data
}

// TestCosignVectors takes what cosign 2.6.5 has made (testdata/scripts/make_signatures.sh): an encrypted key, a signature in both forms, an attestation, and a signature of a file.
func TestCosignVectors(t *testing.T) {
	public, err := sign.ReadPublicKey("testdata/cosign.pub")
	check(t, err)
	other := signtest.NewPair(t).Public
	of := strings.TrimSpace(string(vector(t, "digest.txt")))
	plain, err := sign.ParseSignature(vector(t, "payload.json"), strings.TrimSpace(string(vector(t, "signature.txt"))))
	check(t, err)
	bundle := vector(t, "signature.bundle.json")
	for _, s := range []*sign.Signature{plain, {Bundle: bundle}} {
		if !s.By(public, of) || s.By(other, of) || s.By(public, digest) {
			t.Errorf("cosign's signature is not taken as its key's, of its digest: %+v", s)
		}
	}
	if !sign.IsSignature(bundle) || sign.IsSignature(vector(t, "attestation.bundle.json")) {
		t.Error("a signature and an attestation are taken for each other")
	}
	statement, err := sign.OpenStatement(vector(t, "attestation.bundle.json"), public)
	check(t, err)
	check(t, statement.Check("https://spdx.dev/Document", of))
	file, err := sign.ParseFileSignature(vector(t, "file.bundle.json"))
	check(t, err)
	sum := sha256.Sum256(vector(t, "file.txt"))
	if !file.By(public, sum) || file.By(other, sum) || file.By(public, sha256.Sum256(nil)) {
		t.Error("cosign's signature of a file is not taken as its key's, of that file")
	}
	t.Setenv(sign.PasswordVariable, "vector")
	secret, err := sign.ReadPrivateKey("testdata/cosign.key")
	check(t, err)
	if !secret.Public.Same(public) {
		t.Error("the encrypted key opens to another one")
	}
	made, err := secret.Sign(strings.Split(string(plain.Payload), `"`)[7], of)
	check(t, err)
	if string(made.Payload) != string(plain.Payload) {
		t.Errorf("the payload is %s, of cosign %s", made.Payload, plain.Payload)
	}
	t.Setenv(sign.PasswordVariable, "guess")
	if _, err := sign.ReadPrivateKey("testdata/cosign.key"); err == nil || !strings.Contains(err.Error(), "its password is not") {
		t.Errorf("another password: %v", err)
	}
}
