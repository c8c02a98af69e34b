package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// writeCertificate makes a certificate of its own authority for 127.0.0.1 and returns its files.
func writeCertificate(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	overwriteCertificate(t, name, certFile, keyFile)
	return certFile, keyFile
}

func overwriteCertificate(t *testing.T, name, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	must(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
}

func TestTLS(t *testing.T) {
	cert, key := writeCertificate(t, "one")
	var log bytes.Buffer
	ts := startServer(t, &fakeBackend{}, Config{CertFile: cert, KeyFile: key, Log: slog.New(slog.NewTextHandler(&log, nil))})
	ask := func() (name, body string) {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Post("https://"+ts.addr+"/v1/completions", "application/json",
			strings.NewReader(`{"prompt":"x","max_tokens":16,"stream":true}`))
		must(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		must(t, err)
		return resp.TLS.PeerCertificates[0].Subject.CommonName, string(text)
	}
	name, body := ask()
	if name != "one" || streamText(t, body)[0] != fakeReply {
		t.Errorf("certificate %q, %s", name, body)
	}
	ts.certificate.every, ts.certificate.rest = 0, 0 // look at the files every time
	overwriteCertificate(t, "two", cert, key)
	if name, _ := ask(); name != "two" {
		t.Errorf("certificate %q after it was replaced", name)
	}
	must(t, os.WriteFile(cert, []byte("half written"), 0o600))
	if name, _ := ask(); name != "two" || !strings.Contains(log.String(), "certificate unchanged") {
		t.Errorf("certificate %q after it was broken, log: %s", name, log.String())
	}
}

func TestTLSNeedsBothFiles(t *testing.T) {
	cert, key := writeCertificate(t, "x")
	for _, c := range []Config{{CertFile: cert}, {KeyFile: key}, {CertFile: key, KeyFile: cert}, {CertFile: cert, KeyFile: cert + ".missing"}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v accepted", c)
		}
	}
}

// Who opens a connection and does not finish the handshake is cut off as one who does not finish a header.
func TestHandshakeDrip(t *testing.T) {
	cert, key := writeCertificate(t, "one")
	ts := startServer(t, &fakeBackend{}, Config{CertFile: cert, KeyFile: key, Limits: Limits{HeaderTimeout: 50 * time.Millisecond}})
	for name, begin := range map[string]string{"silent": "", "half a hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "garbage": "GET / HTTP/1.1\r\n\r\n"} {
		c := ts.dial().send("%s", begin)
		if _, err := io.Copy(io.Discard, c.Conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
