package sign

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/nacl/secretbox"
	"golang.org/x/crypto/scrypt"
)

// encryptedKey is what cosign's encrypted keys hold: a PKCS#8 key in NaCl's secretbox, whose own key scrypt makes of a password
// (github.com/secure-systems-lab/go-securesystemslib/encrypted).
type encryptedKey struct {
	KDF struct {
		Name   string `json:"name"`
		Params struct {
			N int `json:"N"`
			R int `json:"r"`
			P int `json:"p"`
		} `json:"params"`
		Salt []byte `json:"salt"`
	} `json:"kdf"`
	Cipher struct {
		Name  string `json:"name"`
		Nonce []byte `json:"nonce"`
	} `json:"cipher"`
	Ciphertext []byte `json:"ciphertext"`
}

// Bounds of scrypt, which takes 128*N*r bytes and time as N*r*p: cosign writes N = 65536, r = 8, p = 1, which is 64 MiB.
const (
	maxScryptBytes = 256 << 20
	maxScryptP     = 4
)

func openEncrypted(data []byte, password func() (string, bool)) (any, error) {
	var e encryptedKey
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("its encryption is not in JSON: %w", err)
	}
	var nonce [24]byte
	if e.KDF.Name != "scrypt" || e.Cipher.Name != "nacl/secretbox" || len(e.Cipher.Nonce) != len(nonce) {
		return nil, fmt.Errorf("it is encrypted with %.40q and %.40q; scrypt and nacl/secretbox are read", e.KDF.Name, e.Cipher.Name)
	}
	params := e.KDF.Params
	if params.N < 2 || params.R < 1 || params.P < 1 || params.P > maxScryptP || params.N > maxScryptBytes/128 || params.R > maxScryptBytes/128/params.N {
		return nil, fmt.Errorf("scrypt with N %d, r %d, p %d is out of bounds: at most %d MiB and p %d", params.N, params.R, params.P, maxScryptBytes>>20, maxScryptP)
	}
	secret, ok := password()
	if !ok {
		return nil, fmt.Errorf("it is encrypted: set %s to its password", PasswordVariable)
	}
	derived, err := scrypt.Key([]byte(secret), e.KDF.Salt, params.N, params.R, params.P, 32)
	if err != nil {
		return nil, err
	}
	copy(nonce[:], e.Cipher.Nonce)
	der, ok := secretbox.Open(nil, e.Ciphertext, &nonce, (*[32]byte)(derived))
	if !ok {
		return nil, errors.New("its password is not what " + PasswordVariable + " holds, or it is damaged")
	}
	return x509.ParsePKCS8PrivateKey(der)
}
