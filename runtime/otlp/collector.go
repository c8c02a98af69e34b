package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"strings"

	"llmc/internal/cli"
)

// protocols are those that spans are sent by, and the ports that collectors take them at.
var protocols = map[string]struct{ grpc bool }{"": {}, "http/protobuf": {}, "grpc": {grpc: true}}

// collector sets where spans go, and how. Without an endpoint none go.
func (s *Settings) collector(first func(names ...string) string) error {
	name := first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	p, known := protocols[name]
	own, base := first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), first("OTEL_EXPORTER_OTLP_ENDPOINT")
	if own == "" && base == "" {
		return nil
	}
	if !known {
		return fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %.50q: must be http/protobuf (mostly port 4318) or grpc (4317)", name)
	}
	s.GRPC = p.grpc
	if s.GRPC {
		if own == "" {
			own = base
		}
		return s.target(own, first("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"))
	}
	s.Endpoint = own
	if own == "" {
		s.Endpoint = strings.TrimSuffix(base, "/") + "/v1/traces"
	}
	if u, err := url.Parse(s.Endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %.200q is no http or https URL", s.Endpoint)
	}
	return nil
}

// grpcPort is where collectors take spans over gRPC.
const grpcPort = "4317"

// target sets the endpoint over gRPC: a URL whose scheme says whether there is TLS, or host and port, with TLS unless insecure is true.
func (s *Settings) target(endpoint, insecure string) error {
	s.secure = !strings.EqualFold(insecure, "true")
	text := endpoint
	if !strings.Contains(text, "://") {
		text = "none://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %.200q is no http or https URL without a path, nor host:port", endpoint)
	}
	switch u.Scheme {
	case "http":
		s.secure = false
	case "https":
		s.secure = true
	case "none":
	default:
		return fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %.200q is no http or https URL, nor host:port", endpoint)
	}
	port := u.Port()
	if port == "" {
		port = grpcPort
	}
	s.Endpoint = net.JoinHostPort(u.Hostname(), port)
	return nil
}

// longestCertificate bounds a file of certificates.
const longestCertificate = 4 << 20

// certificates sets whom we trust and who we are, where the environment names files.
func (s *Settings) certificates(first func(names ...string) string) error {
	of := func(what string) (name, path string) {
		name = "OTEL_EXPORTER_OTLP_" + what
		return name, first("OTEL_EXPORTER_OTLP_TRACES_"+what, name)
	}
	name, roots := of("CERTIFICATE")
	clientName, client := of("CLIENT_CERTIFICATE")
	keyName, key := of("CLIENT_KEY")
	if roots == "" && client == "" && key == "" {
		return nil
	}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if roots != "" {
		pem, err := cli.ReadFile(roots, longestCertificate)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if s.tls.RootCAs = x509.NewCertPool(); !s.tls.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s: %s has no certificate in PEM", name, roots)
		}
	}
	if (client == "") != (key == "") {
		return fmt.Errorf("%s and %s belong together: one of them is not set", clientName, keyName)
	}
	if client == "" {
		return nil
	}
	chain, err := cli.ReadFile(client, longestCertificate)
	if err != nil {
		return fmt.Errorf("%s: %w", clientName, err)
	}
	secret, err := cli.ReadFile(key, longestCertificate)
	if err != nil {
		return fmt.Errorf("%s: %w", keyName, err)
	}
	pair, err := tls.X509KeyPair(chain, secret)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", clientName, keyName, err)
	}
	s.tls.Certificates = []tls.Certificate{pair}
	return nil
}

// transport returns the way to the collector; agent is what we call ourselves.
func (s *Settings) transport(agent string) transport {
	if s.GRPC {
		return newGRPC(s, agent)
	}
	return newHTTP(s, agent)
}
