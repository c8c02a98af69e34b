package ocitest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// distributionVariable names the program of Docker's registry (distribution), such as Debian's docker-registry: `make test-registry`.
const distributionVariable = "LLMC_DOCKER_REGISTRY"

// passwords is what `htpasswd -Bbn me secret` prints.
const passwords = "me:$2y$05$aE.jEQkFCpCUY8eA.7Cs5ek3j/aeu8H9knhipG5pk0ZLHw25FX9XS\n"

const distributionConfig = `version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: %s}}
auth: {htpasswd: {realm: test, path: %s}}
http: {addr: %s, tls: {certificate: %s, key: %s}}
`

// Distribution runs Docker's registry with TLS and passwords, and returns its address and directory, and the file of its authority.
func Distribution(t testing.TB) (host, root, ca string) {
	program := os.Getenv(distributionVariable)
	if program == "" {
		t.Skip(distributionVariable + " names no registry; make test-registry does")
	}
	dir := t.TempDir()
	root = filepath.Join(dir, "store")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	host = l.Addr().String()
	check(t, l.Close())
	ca, key := certificate(t, dir)
	config, users := filepath.Join(dir, "config.yml"), filepath.Join(dir, "users")
	check(t, os.WriteFile(users, []byte(passwords), 0o600))
	check(t, os.WriteFile(config, fmt.Appendf(nil, distributionConfig, root, users, host, ca, key), 0o600))
	cmd := exec.Command(program, "serve", config)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the registry says: %.3000s", said.String())
		}
	})
	for range 100 {
		if conn, err := net.Dial("tcp", host); err == nil {
			check(t, conn.Close())
			return host, root, ca
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s does not listen: %s", program, said.String())
	return "", "", ""
}

// certificate makes one for this machine, which is its own authority.
func certificate(t testing.TB, dir string) (cert, key string) {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &secret.PublicKey, secret)
	check(t, err)
	bytes, err := x509.MarshalPKCS8PrivateKey(secret)
	check(t, err)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	check(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	check(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bytes}), 0o600))
	_, err = tls.LoadX509KeyPair(cert, key)
	check(t, err)
	return cert, key
}

// Login writes Docker's configuration for a registry.
func Login(t testing.TB, password string, hosts ...string) {
	dir, auths := t.TempDir(), map[string]map[string]string{}
	for _, h := range hosts {
		auths[h] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("me:" + password))}
	}
	data, err := json.Marshal(map[string]any{"auths": auths})
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "config.json"), data, 0o600))
	t.Setenv("DOCKER_CONFIG", dir)
}

// Severing passes connections on and severs them after some bytes, either way, as long as there are cuts left.
func Severing(t testing.TB, host string, after int64, cuts *atomic.Int64) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", host)
			if err != nil {
				in.Close()
				continue
			}
			pass := func(to, from net.Conn) {
				if _, err := io.CopyN(to, from, after); err == nil && cuts.Add(-1) >= 0 {
					in.Close()
					out.Close()
					return
				}
				_, _ = io.Copy(to, from)
				in.Close()
				out.Close()
			}
			go pass(out, in)
			go pass(in, out)
		}
	}()
	return l.Addr().String()
}

// BlobPath is where Docker's registry keeps a blob below its directory.
func BlobPath(root, digest string) string {
	sum := strings.TrimPrefix(digest, "sha256:")
	return filepath.Join(root, "docker/registry/v2/blobs/sha256", sum[:2], sum, "data")
}
