package otlp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// overHTTP is OTLP over HTTP, in protobuf.
type overHTTP struct {
	client   *http.Client
	endpoint string
	headers  map[string]string
	agent    string
}

func newHTTP(s *Settings, agent string) *overHTTP {
	wire := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: s.tls, ForceAttemptHTTP2: true}
	return &overHTTP{client: &http.Client{Timeout: s.Timeout, Transport: wire}, endpoint: s.Endpoint, headers: s.Headers, agent: agent}
}

func (h *overHTTP) close() { h.client.CloseIdleConnections() }

// post sends a request. The statuses after which it may be sent again are those of the specification.
func (h *overHTTP) post(ctx context.Context, body []byte) (again bool, after time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.endpoint, bytes.NewReader(body))
	if err != nil {
		return false, 0, err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("User-Agent", h.agent)
	for name, value := range h.headers {
		req.Header.Set(name, value)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return true, 0, err
	}
	defer resp.Body.Close()
	const enough = 64 << 10
	_, _ = io.CopyN(io.Discard, resp.Body, enough) // so that the connection can be used again
	if resp.StatusCode/100 == 2 {
		return false, 0, nil
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		after = time.Duration(min(s, int(longestWait/time.Second))) * time.Second
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true
	}
	return again, after, fmt.Errorf("the collector answers %s", resp.Status)
}
