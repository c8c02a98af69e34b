// Package dial has what calls of other servers need: certificates, a token, and HTTP that goes to no other address than the one that was given.
package dial

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Files name what is read before the first call; "" is none. Errors name them as ca_file, cert_file, key_file and token_file.
type Files struct {
	CA        string // certificates of who may have signed the server's, beside which the system's do not count
	Cert, Key string // the client's own
	Token     string // one line, sent as Authorization: Bearer
}

// maxToken bounds a file that should be one line.
const maxToken = 16 << 10

// TLS is the configuration of a client.
func (f *Files) TLS() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		text, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("ca_file: holds no certificate in PEM")
		}
	}
	if (f.Cert == "") != (f.Key == "") {
		return nil, errors.New("cert_file and key_file: give both or none")
	}
	if f.Cert != "" {
		own, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("cert_file: %w", err)
		}
		c.Certificates = []tls.Certificate{own}
	}
	return c, nil
}

// ReadToken returns the token; "" where no file is named.
func (f *Files) ReadToken() (string, error) {
	if f.Token == "" {
		return "", nil
	}
	info, err := os.Stat(f.Token)
	if err != nil {
		return "", fmt.Errorf("token_file: %w", err)
	}
	if info.Size() > maxToken {
		return "", fmt.Errorf("token_file: %d bytes, at most %d", info.Size(), maxToken)
	}
	text, err := os.ReadFile(f.Token)
	token := strings.TrimSpace(string(text))
	if err == nil && (token == "" || strings.ContainsAny(token, "\r\n")) {
		err = errors.New("must hold one line")
	}
	if err != nil {
		return "", fmt.Errorf("token_file: %w", err)
	}
	return token, nil
}

const (
	// idleConnections are kept to a server for calls to come.
	idleConnections = 16
	connectTimeout  = 5 * time.Second
)

// HTTP returns a client without proxies of the environment, which follows no redirects. security may be nil. Where an address is given, as HOST:PORT, all
// requests go there, whatever their URL.
func HTTP(security *tls.Config, address string) *http.Client {
	dialer := net.Dialer{Timeout: connectTimeout}
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: security, MaxIdleConnsPerHost: idleConnections, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
			TLSHandshakeTimeout: connectTimeout,
			DialContext: func(ctx context.Context, network, by string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, cmp.Or(address, by))
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
