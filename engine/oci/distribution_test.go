package oci_test

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

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"llmc/engine/oci"
)

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

// distribution runs Docker's registry with TLS and passwords, and returns its address and directory, and the file of its authority.
func distribution(t *testing.T) (host, root, ca string) {
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
func certificate(t *testing.T, dir string) (cert, key string) {
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

// login writes Docker's configuration for a registry.
func login(t *testing.T, password string, hosts ...string) {
	dir, auths := t.TempDir(), map[string]map[string]string{}
	for _, h := range hosts {
		auths[h] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("me:" + password))}
	}
	data, err := json.Marshal(map[string]any{"auths": auths})
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "config.json"), data, 0o600))
	t.Setenv("DOCKER_CONFIG", dir)
}

// severing passes connections on and severs them after some bytes, either way, as long as there are cuts left.
func severing(t *testing.T, host string, after int64, cuts *atomic.Int64) string {
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

// TestDistribution is the whole way with Docker's registry: TLS of an own authority, passwords, connections that are severed, layers that are changed where they lie.
func TestDistribution(t *testing.T) {
	host, root, ca := distribution(t)
	t.Setenv(oci.CacheVariable, t.TempDir())
	large := usual
	large.bytes = 2_000_000
	plan := large.write(t)
	var cuts atomic.Int64
	front := severing(t, host, 700_000, &cuts)
	login(t, "secret", host, front)
	c := oci.QuickLogin(&oci.Client{CAFile: ca, Cut: oci.Cut{Least: 1 << 20, Most: 4 << 20, Section: 1 << 10}})
	cuts.Store(5)
	pushed := push(t, c, plan, front+"/models/test:v1")
	if cuts.Load() > 0 {
		t.Errorf("%d connections were not severed", cuts.Load())
	}
	if again := push(t, c, plan, host+"/models/test:v2"); again.Uploaded != 0 || again.Digest != pushed.Digest {
		t.Errorf("again: %+v", again)
	}
	cuts.Store(5)
	out := filepath.Join(t.TempDir(), "out.plan")
	_, err := c.Pull(t.Context(), ref(t, front+"/models/test:v1"), nil, out)
	check(t, err)
	same(t, out, plan)
	copied, err := c.Copy(t.Context(), ref(t, host+"/models/test:v1"), ref(t, host+"/stable/test:v1"))
	check(t, err)
	if copied.Uploaded != 0 { // mounted
		t.Errorf("%d bytes were sent for a copy inside the registry", copied.Uploaded)
	}
	repo, err := oci.ParseRepository(host + "/models/test")
	check(t, err)
	if rows, err := c.List(t.Context(), repo); err != nil || len(rows) != 2 || rows[1].Digest != pushed.Digest {
		t.Errorf("%+v, %v", rows, err)
	}
	e, err := get(t, c, host+"/models/test:v1")
	check(t, err)
	check(t, e.Close())
	refusals(t, c, host, root, pushed)
}

// refusals are what Docker's registry must not get through with.
func refusals(t *testing.T, c *oci.Client, host, root string, pushed *oci.Pushed) {
	out := filepath.Join(t.TempDir(), "x.plan")
	_, err := oci.QuickLogin(&oci.Client{}).Pull(t.Context(), ref(t, host+"/models/test:v1"), nil, out)
	refused(t, err, oci.ErrServer, "not trusted", "--ca-file")
	_, err = c.Pull(t.Context(), ref(t, host+"/models/test:none"), nil, out)
	refused(t, err, oci.ErrNotFound, "check the name and the tag")
	login(t, "guess", host)
	_, err = oci.QuickLogin(&oci.Client{CAFile: c.CAFile}).Pull(t.Context(), ref(t, host+"/models/test:v1"), nil, out)
	refused(t, err, oci.ErrDenied, "docker login "+host)
	login(t, "secret", host)
	data, err := os.ReadFile(blobPath(root, pushed.Digest))
	check(t, err)
	var index ocispec.Index
	check(t, json.Unmarshal(data, &index))
	data, err = os.ReadFile(blobPath(root, index.Manifests[0].Digest.String()))
	check(t, err)
	var m ocispec.Manifest
	check(t, json.Unmarshal(data, &m))
	layer := blobPath(root, m.Layers[len(m.Layers)-1].Digest.String())
	data, err = os.ReadFile(layer)
	check(t, err)
	data[len(data)/2] ^= 1
	check(t, os.WriteFile(layer, data, 0o600))
	t.Setenv(oci.CacheVariable, t.TempDir())
	_, err = oci.QuickLogin(&oci.Client{CAFile: c.CAFile}).Pull(t.Context(), ref(t, host+"/models/test:v1"), nil, out)
	refused(t, err, oci.ErrDigest, fmt.Sprintf("layer %d of", len(m.Layers)))
	if left, _ := os.ReadDir(filepath.Dir(out)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func blobPath(root, digest string) string {
	sum := strings.TrimPrefix(digest, "sha256:")
	return filepath.Join(root, "docker/registry/v2/blobs/sha256", sum[:2], sum, "data")
}
