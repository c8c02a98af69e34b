package sign

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	"llmc/internal/cli"
)

const (
	maxKeyBytes = 64 << 10
	envScheme   = "env://" // a key that is the value of a variable, as cosign has it

	// PasswordVariable holds the password of encrypted keys, as for cosign.
	PasswordVariable = "COSIGN_PASSWORD"
)

// generateHint ends errors of files that are no keys.
const generateHint = "make a pair with 'cosign generate-key-pair', or 'openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem' and 'openssl pkey -in key.pem -pubout -out pub.pem'"

// PrivateKey signs. Its algorithm is ECDSA over P-256 with SHA-256.
type PrivateKey struct {
	key    *ecdsa.PrivateKey
	Public *PublicKey
}

// PublicKey checks signatures.
type PublicKey struct {
	Name string // what it is called where it comes from, such as the path of its file
	key  *ecdsa.PublicKey
	der  []byte // PKIX
}

// Same tells whether two are the same key, whatever they are called.
func (k *PublicKey) Same(other *PublicKey) bool { return k.key.Equal(other.key) }

// hint names the key in a bundle: the hash of its DER.
func (k *PublicKey) hint() string {
	sum := sha256.Sum256(k.der)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// checks tells whether a signature in ASN.1 DER is the key's, of bytes that hash to sum (SHA-256).
func (k *PublicKey) checks(sum [sha256.Size]byte, signature []byte) bool {
	return ecdsa.VerifyASN1(k.key, sum[:], signature)
}

// sign returns a signature in ASN.1 DER.
func (k *PrivateKey) sign(sum [sha256.Size]byte) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, k.key, sum[:])
}

// readKey reads a key's text: a file, or env://NAME.
func readKey(from string) ([]byte, error) {
	if name, ok := strings.CutPrefix(from, envScheme); ok {
		text := os.Getenv(name)
		if text == "" {
			return nil, fmt.Errorf("%w: %s: the variable is not set, or empty", ErrKey, from)
		}
		return []byte(text), nil
	}
	data, err := cli.ReadFile(from, maxKeyBytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return data, nil
}

// ReadPublicKey reads a public key in PEM (PUBLIC KEY), from a file or env://NAME.
func ReadPublicKey(from string) (*PublicKey, error) {
	data, err := readKey(from)
	if err != nil {
		return nil, err
	}
	return ParsePublicKey(from, data)
}

// ParsePublicKey reads a public key in PEM. Its name is for errors.
func ParsePublicKey(name string, data []byte) (*PublicKey, error) {
	block, _ := pem.Decode(data)
	switch {
	case block == nil:
		return nil, fmt.Errorf("%w: %s holds no PEM; %s", ErrKey, name, generateHint)
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, fmt.Errorf("%w: %s is a private key; give the public one, which 'openssl pkey -in KEY -pubout' or 'cosign public-key --key KEY' prints", ErrKey, name)
	case block.Type != "PUBLIC KEY":
		return nil, fmt.Errorf("%w: %s holds a %.40q and no PUBLIC KEY; %s", ErrKey, name, block.Type, generateHint)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w; %s", ErrKey, name, err, generateHint)
	}
	ec, ok := key.(*ecdsa.PublicKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: %s is a %T; keys are ECDSA over P-256: %s", ErrKey, name, key, generateHint)
	}
	return newPublicKey(name, ec)
}

func newPublicKey(name string, key *ecdsa.PublicKey) (*PublicKey, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKey, name, err)
	}
	return &PublicKey{name, key, der}, nil
}

// PEM prints the key.
func (k *PublicKey) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.der})
}

// ReadPrivateKey reads a private key in PEM, from a file or env://NAME: PKCS#8 (PRIVATE KEY), SEC 1 (EC PRIVATE KEY), or cosign's encrypted one, whose password is in
// PasswordVariable.
func ReadPrivateKey(from string) (*PrivateKey, error) {
	data, err := readKey(from)
	if err != nil {
		return nil, err
	}
	return parsePrivateKey(from, data, func() (string, bool) { return os.LookupEnv(PasswordVariable) })
}

func parsePrivateKey(name string, data []byte, password func() (string, bool)) (*PrivateKey, error) {
	bad := func(err error) (*PrivateKey, error) {
		return nil, fmt.Errorf("%w: %s: %w; %s", ErrKey, name, err, generateHint)
	}
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return bad(fmt.Errorf("it holds no private key in PEM"))
		}
		read, known := privateForms[block.Type]
		if !known {
			data = rest // parameters of the curve, say, which openssl writes before
			continue
		}
		key, err := read(block.Bytes, password)
		if err != nil {
			return bad(err)
		}
		ec, ok := key.(*ecdsa.PrivateKey)
		if !ok || ec.Curve != elliptic.P256() {
			return bad(fmt.Errorf("it is a %T, and keys are ECDSA over P-256", key))
		}
		public, err := newPublicKey(name, &ec.PublicKey)
		return &PrivateKey{ec, public}, err
	}
}

// privateForms says how what a PEM block holds is read, by its type.
var privateForms = map[string]func(der []byte, password func() (string, bool)) (any, error){
	"PRIVATE KEY":                    func(der []byte, _ func() (string, bool)) (any, error) { return x509.ParsePKCS8PrivateKey(der) },
	"EC PRIVATE KEY":                 func(der []byte, _ func() (string, bool)) (any, error) { return x509.ParseECPrivateKey(der) },
	"ENCRYPTED SIGSTORE PRIVATE KEY": openEncrypted,
	"ENCRYPTED COSIGN PRIVATE KEY":   openEncrypted,
	"ENCRYPTED PRIVATE KEY": func([]byte, func() (string, bool)) (any, error) {
		return nil, fmt.Errorf("it is encrypted as PKCS#8 has it, which is not read; 'cosign import-key-pair' makes a key that is")
	},
}
